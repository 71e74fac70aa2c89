"""What is said about data that may be wrong, each with the line to type; and that the line mends it."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from feathertune.data.loading import load_dataset
from feathertune.data.overlap import find_overlap
from feathertune.data.remarks import Reading, find_remarks, refuse
from feathertune.errors import UserError
from feathertune.folders.inputs import Remark
from feathertune.recipe.parsing import apply_override
from feathertune.recipe.schema import DataSection

TEXTS = ("the soup was warm", "a fine loud day", "this is a nice lamp", "the chair fell apart", "a dull grey stone")


def write(folder: Path, labels: list[str], header: str = "text,label") -> Path:
    """A csv with a different text for each label."""
    rows = [f'{TEXTS[index % 5]} {index},"{label}"' for index, label in enumerate(labels)]
    path = folder / "data.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def remarks_of(path: Path, *overrides: str) -> dict[str, Remark]:
    values: dict[str, object] = {"source": str(path)}
    for override in overrides:
        apply_override(values, override.removeprefix("data."))
    dataset = load_dataset(DataSection.model_validate(values), seed=0)
    return {remark.kind: remark for remark in find_remarks(dataset, find_overlap(dataset))}


def typed_in(remark: Remark) -> str:
    """The `data.KEY=VALUE` of a remark, as the shell passes it on."""
    assert remark.fix is not None
    (line,) = [word for word in shlex.split(remark.fix) if word.startswith("data.")]
    return line


CASE = ["yes"] * 12 + ["no"] * 12 + ["YES "] * 4 + ["NO "] * 4
NULLISH = ["yes"] * 10 + ["no"] * 11 + ["nan"] * 11
MULTI = ["no,x", "no,y", "yes,x", "yes,y"] * 8
ORDINAL = ["1", "2", "3", "4", "5"] * 6


@pytest.mark.parametrize(
    ("labels", "kind", "text", "fix"),
    [
        (CASE, "spelling", "'NO ', 'no'; 'YES ', 'yes'", "data.label.merge_case=true makes them one"),
        (["yes ", "no "] * 9, "spelling", "labels have spaces around them: 'no ', 'yes '", "merge_case=true takes"),
        (NULLISH, "no_label", "'nan' (11 rows) may stand for no label", "'data.label.missing=[nan]' leaves such"),
        (
            ["a", "b", "NULL", "n/a", "-"] * 4,
            "no_label",
            "'-', 'NULL', 'n/a' (12 rows)",
            """'data.label.missing=[-,"NULL",n/a]'""",
        ),
        (MULTI, "several_labels", "such as 'no,x', 'no,y'", """one model a label: 'data.label.has="no"'"""),
        (["a", "a|b", "b", "b|c", "c"] * 5, "several_labels", "such as 'a|b', 'b|c'", "data.label.has=b"),
        (["a", "b"] * 9 + ["rare"], "one_example", "one class has a single example in train: 'rare'", "[rare]'"),
        (["a"] * 19 + ["b"], "imbalance", "95.0% of the texts are 'a': always answering that is", "best_metric=f1"),
        (ORDINAL, "order", "the labels '1' to '5' have an order", "'data.label={rating: label, at_least: 4}'"),
        (["low", "high", "medium"] * 6, "order", "'low' to 'high'", "'data.label.names=[low,medium,high]'"),
        (["Very_Good", "bad", "good"] * 6, "order", "'bad' to 'Very_Good'", "[bad,good,Very_Good]"),
        (["2 stars", "10 stars", "1 star"] * 6, "order", "'1 star' to '10 stars'", "[1 star,2 stars,10 stars]"),
        (
            [f"l{index % 24}" for index in range(32)],
            "many_labels",
            "24 labels for 32 texts in the column 'label'",
            "data.label.column=COLUMN",
        ),
    ],
)
def test_labels_that_may_be_wrong(tmp_path: Path, labels: list[str], kind: str, text: str, fix: str) -> None:
    remark = remarks_of(write(tmp_path, labels))[kind]
    assert text in remark.text
    assert remark.fix is not None
    assert fix in remark.fix


@pytest.mark.parametrize(
    "labels",
    [
        ["yes", "no"] * 16,
        ["0", "1", "2"] * 9,  # numbers of classes
        ["+", "-"] * 9,
        ["Food, drink", "Home, garden", "Travel"] * 9,  # names with commas
        ["high", "low"] * 9,
        ["spring", "summer", "autumn"] * 9,
        ["a"] * 15 + ["b"] * 5,
    ],
)
def test_labels_that_are_as_they_should_be(tmp_path: Path, labels: list[str]) -> None:
    assert remarks_of(write(tmp_path, labels)) == {}


@pytest.mark.parametrize(
    ("labels", "kind", "counts"),
    [
        (CASE, "spelling", {"no": 16, "yes": 16}),
        (NULLISH, "no_label", {"no": 11, "yes": 10}),
        (MULTI, "several_labels", {"not no": 16, "no": 16}),
        (["a", "b", "NULL", "~", "-"] * 6, "no_label", {"a": 6, "b": 6, "~": 6}),
        (ORDINAL, "order", {"NEGATIVE": 18, "POSITIVE": 12}),
        (["a", "b"] * 9 + ["rare"], "one_example", {"a": 9, "b": 9}),
    ],
)
def test_the_line_to_type_mends_it(tmp_path: Path, labels: list[str], kind: str, counts: dict[str, int]) -> None:
    path = write(tmp_path, labels)
    line = typed_in(remarks_of(path)[kind])
    values: dict[str, object] = {"source": str(path)}
    apply_override(values, line.removeprefix("data."))
    dataset = load_dataset(DataSection.model_validate(values), seed=0)
    found = sum(np.bincount(split.labels, minlength=2) for split in dataset.splits.values())
    assert dict(zip(dataset.label_names, found.tolist(), strict=True)) == counts
    assert kind not in remarks_of(path, line)


def test_a_column_of_stars_from_0_is_an_order(tmp_path: Path) -> None:
    path = write(tmp_path, ["0", "1", "2", "3"] * 6, header="text,stars")
    assert remarks_of(path, "data.label.column=stars")["order"].fix == (
        "'data.label={rating: stars, at_least: 2}' makes two classes of them"
    )


def test_repeated_texts_and_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na b,x\nc d,y\nA  B,x\nc d,x\n,x\n" + "e f,y\n", encoding="utf-8")
    (tmp_path / "dev.csv").write_text("text,label\ne f,y\ng h,x\n", encoding="utf-8")
    said = {kind: remark.line for kind, remark in remarks_of(tmp_path, "data.on_bad_row=skip").items()}
    assert said == {
        "duplicates": "2 rows (40%) of train repeat earlier texts; the first: train.csv:3, train.csv:5",
        "conflicts": "1 text of train with conflicting labels; correct one of the labels, such as train.csv:3 'y', "
        "train.csv:5 'x'",
        "leaks": "1 text of validation also found in train; remove it from one, as train.csv:7 and dev.csv:2",
        "bad_rows": f"1 bad row left out; the first, {tmp_path / 'train.csv'}:6: the text is empty",
    }


def read(lengths: list[int], **changes: object) -> dict[str, str]:
    """What is said about texts of so many tokens."""
    values = {
        "base": "package:minilm/model",
        "max_length": 128,
        "limit": 512,
        "around": 2,
        "unknown_share": 0.0,
        "unknown_token": "[UNK]",
        "special_texts": {"train": 0},
        "special_as": "text",
    }
    reading = Reading(**{**values, **changes})  # type: ignore[arg-type]
    dataset = load_dataset(DataSection(source="sample", text="content", label={"rating": "rating", "above": 0.5}), 0)  # type: ignore[arg-type]
    tokens = {"train": np.array(lengths)}
    return {one.kind: one.line for one in find_remarks(dataset, find_overlap(dataset), tokens, reading)}


@pytest.mark.parametrize(
    ("lengths", "limit", "cut", "fix"),
    [
        ([20, 130, 150, 128], 512, "2 texts (50%) have", "model.max_length=152 reads 100% of the texts whole"),
        ([20] * 99 + [129], None, "1 text (1.0%) has", "model.max_length=136 reads 100% of the texts whole"),
        ([20] * 500 + [200] * 499 + [4000], 8192, "500 texts (50%) have", "model.max_length=200 reads 99.9% of"),
        ([100, 600, 700], 512, "2 texts (67%) have", "model.max_length=512 reads 33% of the texts whole"),
        ([100, 600, 700], 128, "2 texts (67%) have", "the model has no more positions: shorten the texts"),
    ],
)
def test_long_texts(lengths: list[int], limit: int | None, cut: str, fix: str) -> None:
    are = "is" if cut.endswith("has") else "are"
    said = read(lengths, limit=limit)["long_texts"]
    assert said.startswith(f"{cut} more than 128 tokens and {are} cut at model.max_length; {fix}")


def test_texts_that_fit_are_no_remark() -> None:
    assert read([20, 128]) == {}


def test_special_tokens_and_unknown_ones() -> None:
    said = read([5], special_texts={"train": 2, "validation": 1}, unknown_share=0.67)
    assert said["special_tokens"] == (
        "3 texts have special tokens written out, which are read as text; model.special_tokens_in_text=parse parses "
        "them"
    )
    assert said["unknown_tokens"] == (
        "most tokens are unknown: 67% of train's tokens are [UNK], unknown to the tokenizer of package:minilm/model; "
        "model.source=FacebookAI/roberta-base reads any character"
    )


def test_many_tokens_a_character() -> None:
    """GPT-2 reads Russian letter by letter; the sample has about 40 characters a text."""
    assert "tokens_a_character" not in read([20], max_length=10_000_000)
    assert "tokens a character" in read([200_000], max_length=10_000_000)["tokens_a_character"]


def test_strict_makes_them_one_error() -> None:
    refuse((), "here")
    with pytest.raises(UserError) as error:
        refuse((Remark(kind="order", text="an order", fix="data.x=1"), Remark(kind="leaks", text="a leak")), "here")
    assert str(error.value).startswith("here: 2 remarks on the data, and --strict makes them errors:\n  an order; data")
