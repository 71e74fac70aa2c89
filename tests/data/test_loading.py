"""From a `data` section to a dataset; all kinds of bad rows, with their places."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from feathertune.data.example import Split
from feathertune.data.loading import load_dataset
from feathertune.data.overlap import find_overlap
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection
from rated import RATING, folder, section
from tiny import write_tiny_data

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "query-wellformedness"


def make_split(texts: list[str], labels: list[int]) -> Split:
    rows = np.arange(1, len(texts) + 1)
    return Split("train", rows, pa.chunked_array([pa.array(texts, pa.string())]), np.array(labels), None)


def test_a_folder_becomes_a_dataset(tmp_path: Path) -> None:
    dataset = load_dataset(section(folder(tmp_path, test="text\trating\nNA\t0.8\n")), seed=0)
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.label_names == ("NEGATIVE", "POSITIVE")
    example = dataset.splits["test"][0]
    assert (example.row, example.text, example.label, example.rating) == (2, "NA", 1, 0.8)
    assert dataset.splits["validation"].place(1) == "dev.tsv:3"
    assert dataset.splits["train"].texts.type == pa.string()


def test_a_rating_is_not_read_where_the_label_is_a_column(tmp_path: Path) -> None:
    rows = "text\tlabel\trating\na\tx\tnone\nb\ty\t\n"
    dataset = load_dataset(section(folder(tmp_path, train=rows, dev=rows), label={"column": "label"}), seed=0)
    assert dataset.splits["train"].ratings is None
    assert dataset.label_names == ("x", "y")


def test_labels_keep_their_order_whichever_comes_first(tmp_path: Path) -> None:
    train, dev = "text\tlabel\na\tz\nb\ty\nc\t\x61\n", "text\tlabel\nd\ty\ne\tz\n"
    dataset = load_dataset(section(folder(tmp_path, train=train, dev=dev), label={"column": "label"}), seed=0)
    assert dataset.label_names == ("a", "y", "z")
    assert dataset.splits["train"].labels.tolist() == [2, 1, 0]
    assert dataset.splits["validation"].labels.tolist() == [1, 2]


def test_chunks_join_seamlessly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feathertune.data.texts.CHUNK_TEXTS", 3)
    rows = "text\trating\n" + "".join(f"text {n}\t{n % 2}\n" for n in range(10))
    train = load_dataset(section(folder(tmp_path, train=rows)), seed=0).splits["train"]
    assert train.texts.num_chunks == 4
    assert [(example.row, example.text, example.label) for example in train] == [
        (n + 2, f"text {n}", n % 2) for n in range(10)
    ]


BAD_TRAIN = {
    "a short row": (b"text\trating\na\t1\nb\nc\t0\n", 3, "1 fields where 2 are expected"),
    "a rating that is not a number": (b"text\trating\na\t1\nc\t0\nb\thigh\n", 4, "the rating 'high' is not a number"),
    "an empty rating": (b"text\trating\na\t1\nc\t0\nb\t\n", 4, "the rating is empty"),
    "a rating without an end": (b"text\trating\nb\t1e999\na\t1\nc\t0\n", 2, "not a finite number"),
    "an empty text": (b"text\trating\na\t1\n\t1\nc\t0\n", 3, "the text is empty"),
    "a text of white space": ("text\trating\n \u3000\t1\na\t1\nc\t0\n".encode(), 2, "the text is empty"),
    "bad UTF-8": (b"text\trating\na\t1\nb\xc3(\t1\nc\t0\n", 3, "not valid UTF-8: byte 0xc3 at position 2"),
    "a NUL": (b"text\trating\na\t1\nb\0\t1\nc\t0\n", 3, "NUL"),
}


@pytest.mark.parametrize("case", BAD_TRAIN)
def test_a_bad_row_stops_or_is_listed_and_skipped(tmp_path: Path, case: str) -> None:
    content, line, reason = BAD_TRAIN[case]
    place = f"{folder(tmp_path, train=content)}/train.tsv:{line}"
    with pytest.raises(UserError) as caught:
        load_dataset(section(tmp_path), seed=0)
    encoding = caught.value.fix if case == "bad UTF-8" else None
    assert caught.value.fix == (encoding or "Fix it, or skip such rows: data.on_bad_row=skip")
    assert caught.value.where == place
    assert reason in caught.value.what

    dataset = load_dataset(section(tmp_path, on_bad_row="skip"), seed=0)
    assert [example.text for example in dataset.splits["train"]] == ["a", "c"]
    (bad,) = dataset.bad_rows
    assert bad.place == place
    assert reason in bad.reason


def test_an_unknown_label_names_file_line_and_the_nearest(tmp_path: Path) -> None:
    folder(tmp_path, train="text\tlabel\na\tgood\nb\tbad\n", dev="text\tlabel\nc\tgood\nd\tgod\n")
    with pytest.raises(UserError) as caught:
        load_dataset(section(tmp_path, label={"column": "label"}), seed=0)
    assert str(caught.value).startswith(f"{tmp_path}/dev.tsv:3: unknown label 'god'; did you mean 'good'?")


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_an_empty_split_is_refused(tmp_path: Path, name: str) -> None:
    folder(tmp_path, **{name: "text\trating\n"})
    with pytest.raises(UserError, match=rf"{name}\.tsv: the \w+ split is empty"):
        load_dataset(section(tmp_path), seed=0)


def test_a_split_of_bad_rows_says_so(tmp_path: Path) -> None:
    folder(tmp_path, dev="text\trating\na\tx\nb\ty\n")
    with pytest.raises(UserError, match=r"all 2 rows are bad, the first \(.*dev\.tsv:2\): the rating 'x' is not"):
        load_dataset(section(tmp_path, on_bad_row="skip"), seed=0)
    folder(tmp_path, dev="text\trating\né\t1\nü\t0\n".encode("cp1252"))
    with pytest.raises(
        UserError,
        match=r"all 2 rows are bad, .*not valid UTF-8.*\n  Leave such rows out, data\.on_bad_row=skip",
    ):
        load_dataset(section(tmp_path, on_bad_row="skip"), seed=0)


@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
def test_a_missing_column_lists_those_there_are(tmp_path: Path, on_bad_row: str) -> None:
    folder(tmp_path)
    with pytest.raises(UserError) as caught:
        load_dataset(section(tmp_path, text="texts", on_bad_row=on_bad_row), seed=0)
    assert "no column 'texts'; did you mean 'text'? (the columns are 'text', 'rating')" in str(caught.value)
    with pytest.raises(UserError, match="no column 'label'"):
        load_dataset(section(tmp_path, label={"column": "label"}, on_bad_row=on_bad_row), seed=0)


def test_json_lines_may_each_lack_a_key(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    rows: list[dict[str, object]] = [{"text": f"text {n}", "label": n % 2} for n in range(40)]
    rows[3], rows[5], rows[7] = {"label": 1}, {"text": 5, "label": 1}, {"text": None, "label": 1}
    rows[9] = {"text": "nine", "label": 0.5}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"train\.jsonl:4: there is no column 'text' \(the columns are 'label'\)"):
        load_dataset(section(path, label={"column": "label"}), seed=0)
    bad_rows = load_dataset(section(path, label={"column": "label"}, on_bad_row="skip"), seed=0).bad_rows
    assert [bad.place for bad in bad_rows] == [f"{path}:{line}" for line in (4, 6, 8, 10)]


def test_one_class_in_train_is_refused_and_a_missing_one_is_noted(tmp_path: Path) -> None:
    folder(tmp_path, train="text\trating\na\t0\nb\t0.1\n")
    with pytest.raises(UserError, match="every example in train is labelled 'NEGATIVE'"):
        load_dataset(section(tmp_path), seed=0)
    rows = "text\tlabel\na\tx\nb\ty\n"
    label = {"column": "label", "names": ["x", "y", "z"]}
    dataset = load_dataset(section(folder(tmp_path, train=rows, dev=rows), label=label), seed=0)
    assert dataset.notes[-1] == "train has no example of the label 'z'"


def test_a_missing_validation_split_is_made_from_train(tmp_path: Path) -> None:
    rows = "text\trating\n" + "".join(f"text {n}\t{int(n % 4 == 0)}\n" for n in range(200))
    (tmp_path / "train.tsv").write_text(rows)
    first, again, other = (load_dataset(section(tmp_path), seed=seed) for seed in (1, 1, 2))
    train, validation = first.splits["train"], first.splits["validation"]
    assert (len(train), len(validation)) == (180, 20)
    assert np.bincount(validation.labels).tolist() == [15, 5]
    assert sorted([*train.rows, *validation.rows]) == list(range(2, 202))
    assert (validation.name, validation.place(0).split(":")[0]) == ("validation", "train.tsv")
    assert first.notes[-1] == "validation was made from train (0.1 of it, stratified, seed 1)"
    assert validation.rows.tolist() == again.splits["validation"].rows.tolist()
    assert validation.rows.tolist() != other.splits["validation"].rows.tolist()


@pytest.mark.skipif(not SHARED.is_dir(), reason="Google's query-wellformedness files are not in ../shared/data")
def test_googles_own_files_are_read_as_they_are() -> None:
    above = load_dataset(section(SHARED, text="content", label=RATING), seed=0)
    at_least = load_dataset(section(SHARED, text="content", label={"rating": "rating", "at_least": 0.8}), seed=0)
    assert {name: len(split) for name, split in above.splits.items()} == {"train": 17_500, "validation": 3_750}
    assert [int(split.labels.sum()) for split in above.splits.values()] == [8_823, 1_897]
    assert [int(split.labels.sum()) for split in at_least.splits.values()] == [6_799, 1_457]
    assert above.splits["validation"][0].text == "Who discovered x-rays in 1885 ?"
    assert find_overlap(above).leaks == ()


def test_a_test_split_can_be_left_unread(tmp_path: Path) -> None:
    folder = write_tiny_data(tmp_path / "data", train=20, validation=8, test=6)
    assert set(load_dataset(DataSection(source=str(folder)), seed=0).splits) == {"train", "validation", "test"}
    (folder / "test.jsonl").write_text("this would be an error\n", encoding="utf-8")
    assert set(load_dataset(DataSection(source=str(folder), test=False), seed=0).splits) == {"train", "validation"}


def test_a_validation_seed_makes_the_same_split_for_every_seed(tmp_path: Path) -> None:
    folder = write_tiny_data(tmp_path / "data", train=60, validation=0)

    def rows(seed: int, validation_seed: int | None) -> list[int]:
        section = DataSection(source=str(folder), validation_seed=validation_seed)
        return load_dataset(section, seed).splits["validation"].rows.tolist()

    assert rows(1, None) != rows(2, None)
    assert rows(1, 7) == rows(2, 7) == rows(7, None)


ROWS = "".join(f"what a day it was, number {n}\t{'xy'[n % 2]}\n" for n in range(30))


@pytest.mark.parametrize("headed", ["train", "dev"])
def test_a_split_without_a_header_has_the_columns_of_train(tmp_path: Path, headed: str) -> None:
    files = {
        name: ("words\tkind\n" if name == headed and headed == "train" else "") + ROWS for name in ("train", "dev")
    }
    if headed == "dev":
        files["dev"] = "text\tlabel\n" + ROWS
    splits = load_dataset(DataSection(source=str(folder(tmp_path, **files))), seed=0).splits
    assert {name: len(split) for name, split in splits.items()} == {"train": 30, "validation": 30}


def test_a_test_split_with_other_columns_is_named_with_the_way_out(tmp_path: Path) -> None:
    folder(tmp_path, train="text\tlabel\n" + ROWS, dev="text\tlabel\n" + ROWS, test="words\tlabel\n" + ROWS)
    with pytest.raises(UserError, match=r"test\.tsv: there is no column 'text'") as caught:
        load_dataset(DataSection(source=str(tmp_path)), seed=0)
    assert caught.value.fix == "Name it as in train, or do not read this file: data.test=false."
    folder(tmp_path, train="text\tlabel\n" + ROWS, dev="text\tlabel\n" + ROWS, test="text\tkind\n" + ROWS)
    (note,) = (note for note in load_dataset(DataSection(source=str(tmp_path)), seed=0).notes if "(test)" in note)
    assert "has no labels (no column 'label'; its columns are 'text', 'kind') and is not evaluated" in note


def test_labels_of_the_recipe_that_stand_for_none_but_never_occur_are_noted(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + ROWS)
    dataset = load_dataset(
        DataSection(source=str(tmp_path), label=LabelSection(column="label", missing=("na",))), seed=0
    )
    assert "no row of train has the label 'na' (data.label.missing)" in dataset.notes
