"""From the value of a label to the name of its class."""

from decimal import Decimal

import pytest

from feathertune.data.spelling import MissingLabelError, SeveralLabelsError, Spelling, label_name, labels_in_cell
from feathertune.errors import UserError
from feathertune.recipe.schema import LabelSection


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
        (float("nan"), "not a whole number"),
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
    [("a,b", ["a", "b"]), ("a; b", ["a", "b"]), ("a#b", ["a", "b"]), ("a|", ["a"]), (["a", ""], ["a"]), (None, [])],
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
