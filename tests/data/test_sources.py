"""What each kind of source name opens. The Hub's two network functions are replaced; no socket is opened."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest

from feathertune.data import sources
from feathertune.data.loading import load_dataset
from feathertune.data.sources import open_source
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TSV = "text\tlabel\na\tx\nb\ty\n"

Serve = Callable[[dict[str, Any]], list[tuple[Any, ...]]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """A Hub with one dataset; the returned list collects the requests."""

    def start(tables: dict[str, Any]) -> list[tuple[Any, ...]]:
        requests: list[tuple[Any, ...]] = []

        def dataset_info(self: object, repo_id: str, *, revision: str | None = None) -> SimpleNamespace:
            requests.append(("info", repo_id, revision))
            return SimpleNamespace(id="owner/name", sha=COMMIT)

        def load(path: str, **options: object) -> datasets.DatasetDict:
            requests.append(("load", path, options))
            return datasets.DatasetDict(tables)

        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
        monkeypatch.setattr(datasets, "load_dataset", load)
        return requests

    return start


def wellformed(texts: list[str], ratings: list[float]) -> datasets.Dataset:
    """Like google-research-datasets/google_wellformed_query, whose rating is a float32."""
    features = datasets.Features({"content": datasets.Value("string"), "rating": datasets.Value("float32")})
    return datasets.Dataset.from_dict({"content": texts, "rating": ratings}, features=features)


def topics(texts: list[str], labels: list[int]) -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["world", "sports"])}
    )
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)


def test_the_hub_is_pinned_to_a_commit_and_runs_no_code(serve: Serve) -> None:
    requests = serve({"train": wellformed(["a", "b"], [0.8, 0.6]), "validation": wellformed(["NA"], [1.0])})
    section = DataSection(
        source="wellformed", revision="v1", text="content", label=LabelSection(rating="rating", at_least=0.8)
    )
    dataset = load_dataset(section, seed=0)
    assert requests == [("info", "wellformed", "v1"), ("load", "owner/name", {"revision": COMMIT})]
    assert dataset.origin == {"revision": COMMIT}
    assert dataset.splits["train"].labels.tolist() == [1, 0]  # 0.8 is 0.800000011920929 there
    assert dataset.splits["train"].ratings is not None
    assert dataset.splits["train"].ratings.tolist() == [0.800000011920929, 0.6000000238418579]
    assert dataset.splits["validation"][0].text == "NA"
    assert dataset.splits["validation"].place(0) == "validation:1"


def test_a_class_label_becomes_its_name(serve: Serve) -> None:
    serve({"test": topics(["c"], [0]), "train": topics(["a", "b"], [1, 0]), "dev": topics(["d"], [1])})
    dataset = load_dataset(DataSection(source="owner/name"), seed=0)
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.label_names == ("sports", "world")
    assert dataset.splits["train"].labels.tolist() == [0, 1]


def test_rows_of_the_hub_without_a_label_are_bad(serve: Serve) -> None:
    tables = {
        "train": topics(["a", "b", "c"], [1, -1, 0]),
        "validation": topics(["d"], [1]),
        "test": topics(["e"], [-1]),
    }
    serve(tables)
    with pytest.raises(UserError, match="owner/name/train:2: the label is missing"):
        load_dataset(DataSection(source="owner/name"), seed=0)
    dataset = load_dataset(DataSection(source="owner/name", on_bad_row="skip"), seed=0)
    assert list(dataset.splits) == ["train", "validation"]
    assert "the Hub's test split has no labels (all are -1) and is not used" in dataset.notes


def test_other_splits_of_the_hub_are_noted(serve: Serve) -> None:
    serve({"train": topics(["a", "b"], [0, 1]), "unsupervised": topics(["c"], [-1])})
    assert open_source("owner/name").notes == ("the Hub's split 'unsupervised' is not used",)
    serve({"unsupervised": topics(["c"], [-1])})
    with pytest.raises(UserError, match="no train split, only unsupervised"):
        open_source("owner/name")


def test_a_missing_column_of_the_hub_lists_those_there_are(serve: Serve) -> None:
    serve({"train": wellformed(["a"], [0.5])})
    with pytest.raises(UserError, match=r"owner/name/train: there is no column 'text' .*'content', 'rating'"):
        load_dataset(
            DataSection(source="owner/name", text="text", label=LabelSection(rating="rating", above=0.5)), seed=0
        )


def hub_error(kind: type[Exception]) -> Exception:
    """One of the Hub's errors, created without the HTTP response that its constructor needs."""
    return kind.__new__(kind, "no")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (hub_error(huggingface_hub.errors.GatedRepoError), "gated"),
        (hub_error(huggingface_hub.errors.RepositoryNotFoundError), "no such file or folder, and no such dataset"),
        (hub_error(huggingface_hub.errors.RevisionNotFoundError), "has no revision 'v9'"),
        (ConnectionError("the wire is cut"), "no such file or folder, and the Hub cannot be reached.*the wire is cut"),
    ],
)
def test_the_hubs_refusals_are_explained(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(UserError, match=message):
        open_source("owner/name", "v9")


def test_a_dataset_that_cannot_be_loaded_is_explained(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve({})

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found name.py\nmore")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match=r"owner/name: the Hub dataset cannot be loaded: Dataset scripts .* name\.py$"):
        open_source("owner/name")


def test_offline_both_readings_of_a_name_are_given() -> None:
    code = (
        "from feathertune.data.sources import open_source\n"
        "from feathertune.errors import UserError\n"
        "try: open_source('owner/nmae')\n"
        "except UserError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}  # read when huggingface_hub is imported, hence a new process
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("owner/nmae: there is no such file or folder, and the Hub cannot be reached")
    assert "offline mode" in done.stdout


@pytest.mark.parametrize("name", ["data/train.tsv", "./data", "/no/such/folder", "a/b/c", "train.csv", "~/data", "a b"])
def test_what_looks_like_a_path_never_reaches_the_hub(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sources, "_resolve", lambda *_: pytest.fail("the Hub was contacted"))
    with pytest.raises(UserError, match="no such file or folder, and it is not a Hub dataset id"):
        open_source(name)


def test_what_exists_is_never_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    (tmp_path / "owner" / "name" / "train.tsv").write_text(TSV)
    monkeypatch.chdir(tmp_path)
    assert list(open_source("owner/name").splits) == ["train"]
    with pytest.raises(UserError, match=r"data\.revision: a revision belongs to a Hub dataset id"):
        open_source("owner/name", "v1")


@pytest.mark.parametrize("validation", ["dev", "validation"])
def test_a_folder_has_splits_by_name(tmp_path: Path, validation: str) -> None:
    for name in ("test.jsonl", f"{validation}.csv", "train.tsv"):
        (tmp_path / name).write_text("text\n" + name)
    (tmp_path / "notes.csv").touch()
    (tmp_path / "README.md").touch()
    source = open_source(str(tmp_path))
    assert {name: split.name for name, split in source.splits.items()} == {
        "train": "train.tsv",
        "validation": f"{validation}.csv",
        "test": "test.jsonl",
    }
    names = ("train.tsv", f"{validation}.csv", "test.jsonl")
    assert source.origin == {"files": {name: hashlib.sha256(b"text\n" + name.encode()).hexdigest() for name in names}}
    assert len(source.notes) == 1
    assert source.notes[0].startswith("notes.csv is not read")


@pytest.mark.parametrize(("first", "second"), [("train.tsv", "train.csv"), ("dev.tsv", "validation.tsv")])
def test_two_files_for_one_split_are_refused(tmp_path: Path, first: str, second: str) -> None:
    for name in ("train.tsv", first, second):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"are both the (train|validation) split"):
        open_source(str(tmp_path))


def test_a_folder_without_train_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").touch()
    with pytest.raises(UserError, match="the folder has no train file"):
        open_source(str(tmp_path))


def test_a_file_is_all_train(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text,label\n")
    source = open_source(str(tmp_path / "reviews.csv"))
    assert {name: split.name for name, split in source.splits.items()} == {"train": "reviews.csv"}


def test_sample_is_the_packaged_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "content\trating\tlabel\terror\tpair\nGood one ?\t1.0\twell-formed\t\t1\nbad One\t0.0\till-formed\tcase\t1\n"
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text(rows)
    monkeypatch.setattr(sources, "SAMPLE_FOLDER", tmp_path)
    dataset = load_dataset(DataSection(source="sample", text="content"), seed=0)
    assert dataset.label_names == ("ill-formed", "well-formed")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 2, "validation": 2, "test": 2}
