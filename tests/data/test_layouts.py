"""Folders as people have them; what is not understood is listed."""

from pathlib import Path

import datasets
import pytest

from feathertune.data.example import Dataset
from feathertune.data.loading import load_dataset
from feathertune.data.sources import open_source
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection

TABLE = "text,label\n" + "".join(f"the soup was number {n},{'yes' if n % 2 else 'no'}\n" for n in range(20))


def write(folder: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return str(folder)


def loaded(source: str) -> Dataset:
    return load_dataset(DataSection(source=source), seed=0)


def counts(source: str) -> dict[str, int]:
    """Rows by split; those of a validation split that was made are train's."""
    data = loaded(source)
    sizes = {name: len(split) for name, split in data.splits.items()}
    return {"train": sum(sizes.values())} if data.validation_made and len(sizes) == 2 else sizes


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["Train.csv", "Test.csv"], ["train", "test"]),
        (["my_train.csv", "my_val.csv"], ["train", "validation"]),
        (["training.csv", "testing.csv"], ["train", "test"]),
        (["trainset.csv", "devset.csv", "testset.csv"], ["train", "validation", "test"]),
        (["training.1600000.processed.noemoticon.csv", "testdata.manual.2009.06.14.csv"], ["train", "test"]),
        (["train.csv", "docs/one/a.txt", "docs/two/b.txt", "a/b.txt", "c/d.txt"], ["train"]),
        (["train/part.csv", "test/part.csv"], ["train", "test"]),
        (["data/train-00000-of-00001.csv", "data/test-00000-of-00001.csv", "README.md"], ["train", "test"]),
        (["archive/train.csv"], ["train"]),
        (["reviews.csv", "README.md", "LICENSE.txt"], ["train"]),
    ],
)
def test_splits_are_found_by_name(tmp_path: Path, names: list[str], splits: list[str]) -> None:
    source = open_source(write(tmp_path, dict.fromkeys(names, TABLE)))
    assert list(source.splits) == splits
    assert all(len(list(table.read(None))) == 20 for table in source.splits.values())


def test_shards_are_joined(tmp_path: Path) -> None:
    write(tmp_path, {f"data/train-0000{n}-of-00002.csv": TABLE for n in range(2)})
    assert counts(str(tmp_path)) == {"train": 40}


def test_what_datasets_saves_is_read_with_the_names_of_classes(tmp_path: Path) -> None:
    columns = {"text": [f"number {n} of them" for n in range(20)], "label": [n % 2 for n in range(20)]}
    saved = datasets.Dataset.from_dict(columns).cast_column("label", datasets.ClassLabel(names=["neg", "pos"]))
    saved.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=saved, test=saved).save_to_disk(str(tmp_path / "two"))
    assert counts(str(tmp_path / "one")) == {"train": 20}
    assert loaded(str(tmp_path / "two")).label_names == ("neg", "pos")
    assert len(loaded(str(tmp_path / "two")).splits["test"]) == 20


def test_a_column_of_splits_counts_in_a_folder_as_in_a_file(tmp_path: Path) -> None:
    parts = ("train", "train", "train", "test", "extra")
    rows = "".join(f"the soup {n},{'ny'[n // 5 % 2]},{parts[n % 5]}\n" for n in range(50))
    write(tmp_path, {"reviews.csv": f"text,label,split\n{rows}"})
    for source in (tmp_path, tmp_path / "reviews.csv"):
        data = loaded(str(source))
        assert len(data.splits["test"]) == 10
        assert len(data.splits["train"]) + len(data.splits["validation"]) == 30
        assert any("10 rows of other splits are left out" in note for note in data.notes)


@pytest.mark.parametrize("name", ["dev.csv", "test.csv"])
def test_a_test_file_alone_is_not_trained_on(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"no train file; it has {name}"):
        open_source(write(tmp_path, {name: TABLE}))


def test_two_files_of_a_split_are_named_with_a_way_out(tmp_path: Path) -> None:
    source = write(tmp_path, {"train.csv": TABLE, "test.csv": TABLE, "test_labels.csv": TABLE})
    with pytest.raises(UserError, match=r"test\.csv and test_labels\.csv are both the test split") as caught:
        open_source(source)
    assert f"data.source={tmp_path}/train.csv" in str(caught.value)


def test_a_split_file_with_splits_of_its_own_is_refused(tmp_path: Path) -> None:
    rows = '[{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]'
    content = f'{{"train": {rows}, "test": {rows}}}'
    with pytest.raises(UserError, match="the file has splits of its own"):
        open_source(write(tmp_path, {"train.json": content, "test.csv": TABLE}))


def test_what_is_there_is_listed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no train file; it has a\.csv, b\.csv, notes/"):
        open_source(write(tmp_path, {"a.csv": TABLE, "b.csv": TABLE, "notes/x.md": "a"}))
