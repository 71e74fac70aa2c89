"""The column of labels among others that look alike."""

from collections.abc import Mapping, Sequence

import pytest

from feathertune.data.formats.format import Table
from feathertune.data.label_columns import find_label
from feathertune.data.profiles import Column
from feathertune.errors import UserError
from feathertune.recipe.schema import LabelSection

ROWS = 60
TEXTS = [f"what a lovely day number {n} was" for n in range(ROWS)]
SHARES = [f"0.{n:02}" for n in range(1, ROWS)] + ["1.0"]
NUMBERS = [f"{n}.5" for n in range(ROWS)]
TABLE = Table("data.csv", "data.csv", lambda _: iter(()), fixed_columns=True)


def label(columns: Mapping[str, Sequence[object]], **named: object) -> LabelSection:
    """The label among columns whose values are repeated to 60 rows."""
    head = [Column(name, [values[n % len(values)] for n in range(ROWS)]) for name, values in columns.items()]
    return find_label(head, text=None, table=TABLE, named=LabelSection.model_validate(named))


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"text": TEXTS, "type": ["review"], "verdict": ["good", "bad"]}, "verdict"),
        ({"text": TEXTS, "type": ["good", "bad"]}, "type"),
        ({"sentiment_confidence": SHARES, "sentiment": ["good", "bad"], "text": TEXTS}, "sentiment"),
        ({"class_description": TEXTS, "Class Name": ["good", "bad"]}, "Class Name"),
        ({"question": TEXTS, "answer": TEXTS[::-1], "kind": ["good", "bad"]}, "kind"),
        ({"text": TEXTS, "label": [1.0, float("nan"), 0.0]}, "label"),
        ({"text": TEXTS, "label": [0, 1], "has_link": [0, 1], "is_reply": [1, 0, 0]}, "label"),
        ({"text": TEXTS, "spam": [0, 1], "has_link": [1, 1, 0]}, "spam"),
        (
            {"command": ["lights on"], "Comment": ["turn it on", "turn it off", "on please"], "what": ["on", "off"]},
            "what",
        ),
        ({"Target": ["x", "y", "z"], "Tweet": TEXTS, "Stance": ["FAVOR", "AGAINST"]}, "Stance"),
        ({"text": TEXTS, "label": ["good"], "topic": ["x", "y"]}, "label"),  # sorted by label: more follow
    ],
)
def test_what_is_named_like_a_label_must_look_like_one(columns: dict[str, list[object]], chosen: str) -> None:
    assert label(columns) == LabelSection(column=chosen)


@pytest.mark.parametrize(
    ("flags", "typed"),
    [
        (["toxic", "severe_toxic", "obscene", "threat"], "data.label.column=toxic"),
        (["label_rude", "label_late"], "data.label.column=label_rude"),
        (["rude", "late"], "data.label.column=rude"),
        (["joy", "anger", "fear", "pride"], "data.label.column=joy"),
    ],
)
def test_several_columns_of_0_and_1_are_several_labels(flags: list[str], typed: str) -> None:
    columns = {"text": TEXTS, "unclear": [False], **({"subreddit": ["x", "y", "z"]} if "joy" in flags else {})} | {
        flag: [0] * (n + 1) + [1] for n, flag in enumerate(flags)
    }
    with pytest.raises(UserError, match=r"several labels each \(multi-label\)") as error:
        label(columns)
    assert error.value.fix == f"Train one model for each label: {typed}"


@pytest.mark.parametrize(("name", "numbers"), [("rating", SHARES), ("Score", SHARES), ("stars", ["0", "0.25", "1"])])
def test_ratings_from_0_to_1_are_split_in_the_middle(name: str, numbers: list[str]) -> None:
    assert label({"text": TEXTS, name: numbers}) == LabelSection(rating=name, above=0.5)


@pytest.mark.parametrize(
    ("name", "numbers", "typed"),
    [
        ("confidence", SHARES, "'data.label={rating: confidence, at_least: 0.31}'"),
        ("label", SHARES, "'data.label={rating: label, at_least: 0.31}'"),
        ("rating", NUMBERS, "'data.label={rating: rating, at_least: 30.5}'"),
    ],
)
def test_other_numbers_need_a_threshold(name: str, numbers: list[str], typed: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' holds numbers") as error:
        label({"text": TEXTS, name: numbers})
    assert error.value.fix == f"Give it, for example: {typed}"


def test_texts_alone_are_to_be_labelled() -> None:
    with pytest.raises(UserError, match="texts but no labels") as error:
        label({"id": [f"x{n}" for n in range(ROWS)], "number": list(range(ROWS)), "text": TEXTS})
    assert "feathertune predict RUN --input data.csv" in str(error.value)


def test_names_are_quoted_as_a_shell_needs_it() -> None:
    with pytest.raises(UserError, match=r"'data\.label\.column=first choice' or data\.label\.column=second"):
        label({"text": TEXTS, "first choice": ["a", "b"], "second": ["x", "y", "z"]})
