"""The folder of an adapter, and which adapters are refused. Equality with PEFT is tested in tests/parity."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from feathertune.errors import UserError
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    find_targets,
    train_head_only,
)
from feathertune.model.peft_files import (
    load_adapter,
    read_adapter_config,
    read_labels,
    save_adapter,
)
from lively import adapt, lively_classifier, packed_logits
from tiny import FAMILIES, random_texts

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter of ours for the lively BERT."""
    return saved(tmp_path / "adapter")


def saved(folder: Path, name: str = "bert", targets: Any = "attention", revision: str | None = None) -> Path:
    classifier = lively_classifier(name)
    save_adapter(classifier, folder, adapt(classifier, targets), base="owner/base", revision=revision)
    return folder


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / TENSORS)
    change(tensors)
    save_file(tensors, folder / TENSORS)


def test_the_files(adapter: Path) -> None:
    assert sorted(path.name for path in adapter.iterdir()) == [CONFIG, TENSORS, "labels.json"]
    tensors = load_file(adapter / TENSORS)
    assert tensors[f"{QUERY}.lora_A.weight"].shape == (4, 32)
    assert tensors[f"{QUERY}.lora_B.weight"].shape == (32, 4)
    assert tensors["base_model.model.classifier.weight"].shape == (3, 32)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert len(tensors) == 2 * 4 * 2 + 2


def test_the_config(tmp_path: Path) -> None:
    config = json.loads((saved(tmp_path, "gpt2", revision="abc") / CONFIG).read_text())
    assert config["base_model_name_or_path"] == "owner/base"
    assert config["revision"] == "abc"
    assert (config["peft_type"], config["task_type"]) == ("LORA", "SEQ_CLS")
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (4, 8.0, False)
    assert config["fan_in_fan_out"] is True
    assert config["modules_to_save"] == ["score"]
    assert config["target_modules"] == ["attn.c_proj", "c_attn"]


@pytest.mark.parametrize("targets", ["attention", "all-linear"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_configs_endings_mean_the_adapted_layers_and_no_others(tmp_path: Path, name: str, targets: str) -> None:
    classifier = lively_classifier(name)
    names = find_targets(classifier, targets)
    add_lora(classifier, LoraShape(4, 8.0, 0.0, False, names), seed=0)
    save_adapter(classifier, tmp_path, LoraShape(4, 8.0, 0.0, False, names), base="base", revision=None)
    endings = json.loads((tmp_path / CONFIG).read_text())["target_modules"]
    modules = [module for module, _ in lively_classifier(name).model.named_modules()]
    assert {m for m in modules for ending in endings if m == ending or m.endswith(f".{ending}")} == set(names)
    assert len(endings) <= len({module.rpartition(".")[2] for module in names}) + 2


def test_a_head_alone_is_stored_as_by_peft(tmp_path: Path) -> None:
    classifier = lively_classifier("bert")
    train_head_only(classifier)
    save_adapter(classifier, tmp_path, None, base="base", revision=None)
    assert json.loads((tmp_path / CONFIG).read_text())["target_modules"] == "dummy-target-modules"
    assert list(load_file(tmp_path / TENSORS)) == [
        "base_model.model.classifier.bias",
        "base_model.model.classifier.weight",
    ]


@pytest.mark.parametrize("spelling", ["{}.lora_A.weight", "{}.lora_A.default.weight"])
def test_both_of_pefts_name_formats_are_read(adapter: Path, spelling: str) -> None:
    def respell(tensors: dict[str, torch.Tensor]) -> None:
        tensors[spelling.format(QUERY)] = tensors.pop(f"{QUERY}.lora_A.weight")
        tensors["base_model.model.classifier.modules_to_save.default.bias"] = tensors.pop(
            "base_model.model.classifier.bias"
        )

    straight, respelled, texts = lively_classifier("bert"), lively_classifier("bert"), random_texts([4, 9])
    load_adapter(straight, adapter)
    change_tensors(adapter, respell)
    load_adapter(respelled, adapter)
    assert torch.equal(packed_logits(straight, texts), packed_logits(respelled, texts))


def test_an_adapter_in_half_precision_becomes_float32(adapter: Path) -> None:
    change_tensors(adapter, lambda tensors: tensors.update({name: t.bfloat16() for name, t in tensors.items()}))
    classifier = lively_classifier("bert")
    load_adapter(classifier, adapter)
    assert {p.dtype for p in classifier.parameters()} == {torch.float32}


def test_a_loaded_adapter_is_still_and_can_be_trained_further(adapter: Path) -> None:
    change_config(adapter, lora_dropout=0.5)
    classifier, texts = lively_classifier("bert"), random_texts([4, 9])
    shape = load_adapter(classifier, adapter)
    assert shape is not None
    assert shape.dropout == 0.5
    assert torch.equal(packed_logits(classifier, texts), packed_logits(classifier, texts))
    classifier.train()
    assert not torch.equal(packed_logits(classifier, texts), packed_logits(classifier, texts))
    assert {name for name, p in classifier.model.named_parameters() if p.requires_grad} == {
        name.removeprefix("base_model.model.").replace("lora_A.weight", "lora_A").replace("lora_B.weight", "lora_B")
        for name in load_file(adapter / TENSORS)
    }


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("use_dora", True),
        ("rank_pattern", {"query": 8}),
        ("alpha_pattern", {"query": 8}),
        ("bias", "all"),
        ("lora_bias", True),
        ("layer_replication", [[0, 2]]),
        ("trainable_token_indices", [1]),
        ("target_parameters", ["x"]),
        ("use_qalora", True),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "loftq"),
    ],
)
def test_an_unsupported_setting_is_refused(adapter: Path, setting: str, value: object) -> None:
    change_config(adapter, **{setting: value})
    refused(adapter, f"the adapter uses {setting}=", "Merge it with PEFT")


@pytest.mark.parametrize("value", [True, False, None, "gaussian", "orthogonal"])
def test_the_initialization_of_the_factors_does_not_matter(adapter: Path, value: object) -> None:
    change_config(adapter, init_lora_weights=value)
    assert load_adapter(lively_classifier("bert"), adapter) is not None


@pytest.mark.parametrize("kind", ["IA3", "ADALORA", None, 3])
def test_another_kind_of_adapter(adapter: Path, kind: object) -> None:
    change_config(adapter, peft_type=kind)
    refused(adapter, f"the adapter is of type {kind!r}, not LORA")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / CONFIG).unlink(), "adapter_config.json: the file is missing"),
    "config is a list": (lambda folder: (folder / CONFIG).write_text("[]"), "the adapter is of type None"),
    "config is no JSON": (lambda folder: (folder / CONFIG).write_text("{"), "not valid JSON"),
    "no rank": (lambda folder: change_config(folder, r=None), "lacks r or lora_alpha"),
    "no alpha": (lambda folder: change_config(folder, lora_alpha="much"), "lacks r or lora_alpha"),
    "rank 0": (lambda folder: change_config(folder, r=0), "has shape [4, 32]"),
    "another rank": (lambda folder: change_config(folder, r=8), "has shape [4, 32], this model"),
    "no tensors": (lambda folder: (folder / TENSORS).unlink(), "cannot read the adapter's tensors"),
    "pickle": (
        lambda folder: (folder / TENSORS).rename(folder / "adapter_model.bin"),
        "adapter_model.bin is a pickle and is never read",
    ),
    "empty": (lambda folder: (folder / TENSORS).write_bytes(b""), "cannot read the adapter's tensors"),
    "garbage": (lambda folder: (folder / TENSORS).write_bytes(b"garbage!" * 99), "cannot read the adapter's tensors"),
    "truncated": (
        lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-9]),
        "cannot read the adapter's tensors",
    ),
    "a folder": (lambda folder: ((folder / TENSORS).unlink(), (folder / TENSORS).mkdir()), "cannot read the adapter"),
    "no head": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop("base_model.model.classifier.bias")),
        "the adapter lacks 'classifier.bias'",
    ),
    "a factor less": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop(f"{QUERY}.lora_B.weight")),
        "the adapter lacks 'bert.encoder.layer.0.attention.self.query.lora_B'",
    ),
    "a tensor more": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.update(more=torch.zeros(1))),
        "has 'more', which this model does not have",
    ),
    "DoRA's magnitude": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({f"{QUERY}.lora_magnitude_vector": torch.zeros(32)})
        ),
        "lora_magnitude_vector', which this model does not have",
    ),
    "more classes": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({"base_model.model.classifier.bias": torch.zeros(5)})
        ),
        "classifier.bias has shape [5], this model and the adapter's config need [3]",
    ),
    "a wider base": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors.update({f"{QUERY}.lora_B.weight": torch.zeros(64, 4)})
        ),
        "lora_B has shape [64, 4]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_adapter_is_the_users_error(adapter: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(adapter)
    refused(adapter, message)


def test_an_adapter_of_another_base(tmp_path: Path) -> None:
    refused(saved(tmp_path, "gpt2"), "which this model does not have as a linear layer", "made for another base model")


def refused(folder: Path, *messages: str) -> None:
    """Loading is refused with these messages and the folder's name, and the classifier is unchanged."""
    classifier = lively_classifier("bert")
    before = {name: (tensor.clone(), tensor.requires_grad) for name, tensor in classifier.named_parameters()}
    with pytest.raises(UserError) as caught:
        load_adapter(classifier, folder)
    assert str(caught.value).startswith(str(folder))
    assert all(message in str(caught.value) for message in messages), str(caught.value)
    after = dict(classifier.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(t, after[name]) and grad == after[name].requires_grad for name, (t, grad) in before.items())


@pytest.mark.parametrize("text", ["{}", "[1]", '{"id2label": {"1": "yes"}}', '{"id2label": null}'])
def test_labels_that_are_not_numbered_from_0(adapter: Path, text: str) -> None:
    (adapter / "labels.json").write_text(text)
    with pytest.raises(UserError, match=r"labels.json: the labels are not numbered from 0"):
        read_labels(adapter)


def test_the_config_is_read_whole(adapter: Path) -> None:
    assert read_adapter_config(adapter) == json.loads((adapter / CONFIG).read_text())
