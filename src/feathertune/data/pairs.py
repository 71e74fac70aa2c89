"""Two columns of texts that belong together: a classifier of one of them would be another task."""

from __future__ import annotations

from collections.abc import Sequence

from feathertune.data.formats.format import Table
from feathertune.data.label_columns import RATING_NAMES
from feathertune.data.profiles import Column, by_name
from feathertune.errors import UserError
from feathertune.recipe.parsing import typed, typed_list, typed_rating
from feathertune.recipe.schema import LabelSection

PAIRS = (
    ("sentence1", "sentence2"), ("question1", "question2"), ("question", "sentence"), ("premise", "hypothesis"),
    ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("query", "passage"), ("query", "document"),
    ("question", "answer"), ("a", "b"), ("string1", "string2"), ("s1", "s2"), ("claim", "evidence"),
)  # fmt: skip


def refuse_pair(table: Table, head: Sequence[Column], label: LabelSection) -> None:
    """Raise a UserError, with lines to type, if two of the columns are a pair by their names.

    Args:
        table: for messages.
        head: all columns.
        label: as it was found; a rating, or its column, makes the pair a regression.
    """
    chosen = (label.column, label.rating)
    texts = {column.name.casefold(): column.name for column in head if column.holds_texts and column.name not in chosen}
    pair = next(((texts[one], texts[two]) for one, two in PAIRS if one in texts and two in texts), None)
    if pair is None:
        return
    level = _level(label, head)
    number = "" if level is None else f", and {level[0]!r} a number (regression)"
    rated = "" if level is None else f" {typed_rating(*level)}"
    raise UserError(
        f"each row has a pair of texts, {pair[0]!r} and {pair[1]!r}{number}",
        where=table.place,
        fix=f"To classify both together: {typed_list('data.text', pair)}{rated}; "
        f"one alone: {typed('data.text', pair[1])}{rated}",
    )


def _level(label: LabelSection, head: Sequence[Column]) -> tuple[str, str] | None:
    """The column of a number that rates the pairs, and its median, a threshold; None if labels are classes."""
    name = label.rating or label.column
    column = next(column for column in head if column.name == name)
    rated = label.rating is not None or (len(column.counts) > 2 and by_name([column], RATING_NAMES) is not None)
    if not rated or not column.holds_numbers:
        return None
    values = sorted(float(str(value)) for value in column.present)
    return column.name, f"{values[len(values) // 2]:g}"
