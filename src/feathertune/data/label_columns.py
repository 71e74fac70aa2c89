"""Finding the column of labels, by its name and its content."""

from __future__ import annotations

from collections.abc import Sequence

from feathertune.data.formats.format import Table
from feathertune.data.labels import parse_rating
from feathertune.data.profiles import Column, by_name
from feathertune.errors import UserError
from feathertune.recipe.schema import LabelSection

LABEL_NAMES = (
    "label", "labels", "class", "category", "target", "sentiment", "emotion", "intent", "tag", "topic", "polarity",
    "stance", "toxic", "spam", "gold_label", "y", "output", "answer", "classification", "type", "genre", "tags",
    "cats", "department", "priority", "klasse", "clase", "étiquette",
)  # fmt: skip
MUCH_FEWER = 2  # times fewer different values than in any other column, where no column has a name
RATING_NAMES = ("rating", "score", "stars")


def find_label(
    head: Sequence[Column], *, text: Sequence[str] | None, table: Table, named: LabelSection
) -> LabelSection:
    """The column of labels, or of ratings, among the first rows.

    Args:
        head: the columns.
        text: the columns of texts, if they are known.
        table: for messages.
        named: what the recipe says about labels; a rating, if it names one, must be a column of numbers.

    Raises:
        UserError: there is none, or several may be meant.
    """
    columns = [column for column in head if column.name not in (text or ())]
    if named.rating is not None:  # of a file without a header
        columns = [column for column in columns if column.holds_numbers]
        if len(columns) == 1:
            return LabelSection(column=columns[0].name)
    chosen = by_name(columns, LABEL_NAMES)
    if chosen is not None and _usable(chosen):
        return LabelSection(column=chosen.name)
    rating = by_name(columns, RATING_NAMES)
    if rating is not None and rating.present:
        return _rated(rating, table, head)
    candidates = [
        column
        for column in columns
        if column.looks_like_label and not column.looks_like_text and not column.is_bookkeeping
    ]
    flags = [column for column in candidates if column.is_zero_or_one]
    if len(flags) > 1 and len(flags) == len(candidates):
        names = ", ".join(repr(column.name) for column in flags[:10])
        raise UserError(
            f"the rows have several labels each (multi-label), in columns of their own: {names}",
            where=table.place,
            fix=f"Train one model for each label: data.label.column={flags[0].name}",
        )
    if table.headerless and len(candidates) > 1:
        fewest, second = sorted(candidates, key=lambda column: len(column.counts))[:2]
        candidates = [fewest] if len(fewest.counts) * MUCH_FEWER <= len(second.counts) else candidates
    if len(candidates) == 1:
        return LabelSection(column=candidates[0].name)
    fractions = [column for column in columns if column.holds_numbers and not column.is_bookkeeping]
    if not candidates and len(fractions) == 1:
        return _rated(fractions[0], table, head)
    raise unclear_label(table, head, candidates)


def unclear_label(table: Table, head: Sequence[Column], candidates: Sequence[Column]) -> UserError:
    """The error where no column, or more than one, looks like the label."""
    what = "it is unclear which column is the label" if candidates else "no column looks like a label or a rating"
    lines = " or ".join(f"data.label.column={column.name}" for column in candidates[:5])
    listed = "; ".join(column.sample() for column in head[:30])
    return UserError(
        f"{what}. The columns: {listed}",
        where=table.place,
        fix=f"Name it: {lines or 'data.label.column=COLUMN, or data.label.rating=COLUMN data.label.at_least=NUMBER'}",
    )


def _rated(column: Column, table: Table, head: Sequence[Column]) -> LabelSection:
    """A column of numbers: few whole ones are classes; ratings from 0 to 1 are split at 0.5; others as one says."""
    if column.looks_like_label:
        return LabelSection(column=column.name)
    try:
        values = [parse_rating(value) for value in column.present]
    except ValueError:
        raise unclear_label(table, head, []) from None
    if min(values) >= 0 and max(values) <= 1:
        return LabelSection(rating=column.name, above=0.5)
    middle = f"{sorted(values)[len(values) // 2]:g}"
    return (
        LabelSection(rating=column.name, at_least=float(middle))
        if _of_a_pair(head)
        else _needs_threshold(column, table, middle)
    )


def _of_a_pair(head: Sequence[Column]) -> bool:
    """Whether two columns are texts: then the pair is what has to be said first."""
    return sum(column.looks_like_text for column in head) > 1


def _needs_threshold(column: Column, table: Table, middle: str) -> LabelSection:
    raise UserError(
        f"{column.name!r} holds numbers ({column.sample()}), from which a threshold makes two classes",
        where=table.place,
        fix=f"Give it, for example: data.label.rating={column.name} data.label.at_least={middle}",
    )


def _usable(column: Column) -> bool:
    """Whether a column that is named like a label can be one: of no fractions, and not constant if others may be."""
    fractions = any(isinstance(value, float) and not value.is_integer() for value in column.present)
    return bool(column.present) and not fractions and not any(isinstance(value, dict) for value in column.present)
