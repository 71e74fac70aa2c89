"""From the value of a label to the name of its class."""

from decimal import Decimal
from pathlib import Path

import pytest

from feathertune.data.loading import load_dataset
from feathertune.data.spelling import MissingLabelError, SeveralLabelsError, Spelling, label_name, labels_in_cell
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("yes", "yes"),
        (" yes ", " yes "),
        ("nan", "nan"),
        ("1e3", "1e3"),
        ("2020-01-01", "2020-01-01"),
        (3, "3"),
        (3.0, "3"),
        (Decimal("3.0"), "3"),
        (True, "true"),
        (["yes"], "yes"),
        ([1.0], "1"),
        ("['yes']", "yes"),
        ('["it\'s"]', "it's"),
        ("[27]", "27"),
        ("[urgent] call", "[urgent] call"),
        ("[urgent]", "[urgent]"),
    ],
)
def test_a_value_has_one_name(value: object, name: str) -> None:
    assert label_name(value) == name
    assert Spelling(LabelSection(column="label")).name(value) == name


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the label is missing"),
        ("", "the label is empty"),
        ([], "an empty list"),
        (0.5, "not a whole number"),
        (float("nan"), "the label is missing"),
        ({"a": 1}, "neither text, an integer nor true/false"),
    ],
)
def test_what_is_no_label_is_refused_with_the_reason(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        label_name(value)


def test_several_labels_propose_a_model_for_each() -> None:
    with pytest.raises(SeveralLabelsError) as caught:
        label_name(["warm", "late"])
    assert "data.label.has=late" in str(caught.value.at("a.jsonl:1"))


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("a,b", ["a", "b"]),
        ("a; b", ["a", "b"]),
        ("a#b", ["a", "b"]),
        ("a|", ["a"]),
        (["a", ""], ["a"]),
        (None, []),
        ("['a', 'b']", ["a", "b"]),
        ("['a' 'b']", ["a", "b"]),
        ('["a, c", "b"]', ["a, c", "b"]),
        ("[2, 7]", ["2", "7"]),
        ("[]", []),
    ],
)
def test_the_labels_of_a_cell(cell: object, labels: list[str]) -> None:
    assert labels_in_cell(cell) == labels


def test_missing_map_and_case() -> None:
    section = LabelSection(column="label", missing=("nan",), map={"y": "yes"}, merge_case=True)
    spelling = Spelling(section)
    with pytest.raises(MissingLabelError):
        spelling.name(" nan ")
    names = [spelling.name(value) for value in ("yes", "y", "YES ", "No", "no", "no")]
    assert spelling.final_names(names) == {"yes": "yes", "YES ": "yes", "No": "no", "no": "no"}
    spelling.check()


def test_a_label_to_map_that_never_occurs_is_a_mistake() -> None:
    spelling = Spelling(LabelSection(column="label", map={"ys": "no"}))
    spelling.name("yes")
    with pytest.raises(UserError, match="no row of train has the label 'ys'; did you mean 'yes'"):
        spelling.check()


def test_whole_numbers_written_as_fractions_are_whole_where_all_are() -> None:
    spelling = Spelling(LabelSection(column="label"))
    assert spelling.final_names(["1.0", "0.0"]) == {"1.0": "1", "0.0": "0"}
    assert spelling.final_names(["1.0", "1.5"]) == {"1.0": "1.0", "1.5": "1.5"}
    assert spelling.known("1.0", ["0", "1"]) == "1"


def test_rows_whose_label_stands_for_none_are_counted(tmp_path: Path) -> None:
    rows = [f"a fine day {n},{'nan' if n == 7 else ('yes', 'no')[n % 2]}\n" for n in range(24)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(rows), encoding="utf-8")
    section = DataSection(source=str(tmp_path / "a.csv"), label=LabelSection(column="label", missing=("nan",)))
    notes = load_dataset(section, seed=0).notes
    assert "train: 1 row whose label stands for none (data.label.missing) left out" in notes


@pytest.mark.parametrize("value", [None, "", [], float("nan")])
def test_a_cell_without_a_value_is_a_missing_label_where_the_recipe_says_so(value: object) -> None:
    with pytest.raises(MissingLabelError):
        Spelling(LabelSection(column="label", missing=("",))).name(value)
    with pytest.raises(MissingLabelError):
        Spelling(LabelSection(column="label", missing=("",), has="a")).has(value)
    with pytest.raises(ValueError, match="the label"):
        Spelling(LabelSection(column="label", missing=("x",))).name(value)


def test_a_label_to_look_for_that_never_occurs_lists_those_that_do() -> None:
    spelling = Spelling(LabelSection(column="label", has="d"))
    assert [spelling.has(value) for value in ("a,b", ["x"], "c")] == [False, False, False]
    with pytest.raises(UserError, match="no row of train has the label 'd'; the labels are 'a', 'b', 'c', 'x'"):
        spelling.check()


def test_whole_numbers_are_mapped_and_left_out_however_they_are_written() -> None:
    spelling = Spelling(LabelSection(column="label", map={"1": "good", "0": "bad"}, missing=("9",)))
    assert [spelling.name(value) for value in ("1.0", 0, 1.0)] == ["good", "bad", "good"]
    with pytest.raises(MissingLabelError):
        spelling.name("9.0")
