"""A file a text, a file a class, or texts and labels side by side."""

from pathlib import Path

import pytest

from feathertune.data.formats.format import FileSettings
from feathertune.data.rows import BadRow, Row
from feathertune.data.sources import Source, open_source


def write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode(encoding))
    return folder


def rows(folder: Path, **settings: str) -> dict[str, list[tuple[object, object]]]:
    source: Source = open_source(str(folder), settings=FileSettings(**settings))  # type: ignore[arg-type]
    return {
        split: [(row.fields["text"], row.fields["label"]) for row in table.read(None) if isinstance(row, Row)]
        for split, table in source.splits.items()
    }


def test_the_newsgroups_have_names_of_numbers_and_another_encoding(tmp_path: Path) -> None:
    texts = {f"{group}/{49960 + n}": f"naïve no {n}" for group in ("alt.atheism", "sci.space") for n in range(3)}
    for split in ("train", "test"):
        write(tmp_path, {f"20news-bydate-{split}/{name}": text for name, text in texts.items()}, "latin-1")
    found = rows(tmp_path)
    assert {split: len(one) for split, one in found.items()} == {"train": 6, "test": 6}
    assert found["train"][0] == ("naïve no 0", "alt.atheism")


def test_one_text_in_another_encoding_is_bad_and_the_way_out_works(tmp_path: Path) -> None:
    write(tmp_path, {"a/1.txt": "naïve", "a/2.txt": "fine", "b/1.txt": "naïve"})
    write(tmp_path, {"b/2.txt": "café"}, "latin-1")
    (bad,) = [row for row in open_source(str(tmp_path)).splits["train"].read(None) if isinstance(row, BadRow)]
    assert bad.place == str(tmp_path / "b" / "2.txt")
    assert bad.fix is not None
    assert "data.encoding=windows-1252" in bad.fix
    assert ("café", "b") in rows(tmp_path, encoding="windows-1252")["train"]


def test_a_file_a_class_in_folders_of_splits(tmp_path: Path) -> None:
    write(tmp_path, {f"{split}/{name}.txt": f"{name} one\n" for split in ("train", "test") for name in ("pos", "neg")})
    assert rows(tmp_path) == {split: [("neg one", "neg"), ("pos one", "pos")] for split in ("train", "test")}


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        ("train_text.txt", "train_labels.txt"),
        ("train.txt", "train.labels"),
        ("train.txt", "train_label.txt"),
        ("texts.txt", "labels.txt"),
        ("X_train.txt", "y_train.txt"),
        ("train/seq.in", "train/label"),
    ],
)
def test_texts_and_labels_side_by_side(tmp_path: Path, texts: str, labels: str) -> None:
    write(tmp_path, {texts: "it came\nit went\n", labels: "yes\nno\n"})
    assert rows(tmp_path) == {"train": [("it came", "yes"), ("it went", "no")]}


def test_numbers_are_named_by_a_mapping(tmp_path: Path) -> None:
    write(tmp_path, {"train_text.txt": "a b\nc d\n", "train_labels.txt": "1\n0\n", "mapping.txt": "0\tbad\n1\tgood\n"})
    assert rows(tmp_path) == {"train": [("a b", "good"), ("c d", "bad")]}
