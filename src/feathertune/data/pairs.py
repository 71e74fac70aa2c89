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
    ("question", "sentence"), ("premise", "hypothesis"), ("query", "passage"), ("query", "document"),
    ("question", "passage"), ("question", "context"), ("question", "answer"), ("claim", "evidence"),
)  # fmt: skip
_SECOND = {"1": "2", "a": "b"}  # sentence1, sentence2; text_a, text_b


def refuse_pair(table: Table, head: Sequence[Column], label: LabelSection) -> None:
    """Raise a UserError, with lines to type, if two of the columns are a pair by their names.

    Args:
        table: for messages.
        head: all columns.
        label: as it was found; a rating, or its column, makes the pair a regression.
    """
    pair = None if table.headerless else _pair(head, label)
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


def _pair(head: Sequence[Column], label: LabelSection) -> tuple[str, str] | None:
    """The names of two columns of texts: known pairs, or `sentence1` and `sentence2`, `text_a` and `text_b`."""
    rest = {
        column.name.casefold(): column
        for column in head
        if column.holds_texts and column.name not in (label.column, label.rating)
    }
    numbered = (
        (name, name[:-1] + _SECOND[name[-1]])
        for name, column in rest.items()
        if name[-1:] in _SECOND and column.looks_like_text
    )
    pairs = ((rest[one].name, rest[two].name) for one, two in (*PAIRS, *numbered) if one in rest and two in rest)
    return next(pairs, None)


def _level(label: LabelSection, head: Sequence[Column]) -> tuple[str, str] | None:
    """The column of a number that rates the pairs, and its median, a threshold; None if labels are classes."""
    name = label.rating or label.column
    column = next(column for column in head if column.name == name)
    rated = label.rating is not None or (len(column.counts) > 2 and by_name([column], RATING_NAMES) is not None)
    if not rated or not column.holds_numbers:
        return None
    values = sorted(float(str(value)) for value in column.present)
    return column.name, f"{values[len(values) // 2]:g}"
