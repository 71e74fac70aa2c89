"""Finding the column of labels, by its name and its content."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from feathertune.data.formats.format import Table
from feathertune.data.labels import parse_rating
from feathertune.data.profiles import TEXT_NAMES, Column, by_name
from feathertune.errors import UserError
from feathertune.recipe.parsing import typed, typed_rating
from feathertune.recipe.schema import LabelSection

LABEL_NAMES = (
    "label", "labels", "gold_label", "class", "category", "sentiment", "emotion", "intent", "stance", "polarity",
    "target", "tag", "topic", "classification", "klasse", "clase", "étiquette",
)  # fmt: skip
# Names that a column of labels may have, but many other columns as well.
PERHAPS_LABEL_NAMES = (
    "toxic", "spam", "y", "output", "answer", "type", "genre", "tags", "cats", "department", "priority", "status",
)  # fmt: skip
MANY_FLAGS = 4  # columns of 0 and 1 that are labels, whatever other columns there are
MUCH_FEWER = 2  # times fewer different values than in any other column, where no column has a name
_ANY = "data.label.column=COLUMN, or 'data.label={rating: COLUMN, at_least: NUMBER}'"
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
    chosen = _named(columns)
    flags = [column for column in columns if column.is_zero_or_one and not column.is_bookkeeping]
    if chosen is not None and chosen.holds_fractions:
        return _rated(chosen, table, head)
    if chosen is not None and not _is_one_of_several(chosen, flags):
        return LabelSection(column=chosen.name)
    rating = by_name([column for column in columns if column.present], RATING_NAMES)
    if rating is not None and chosen is None:
        return _rated(rating, table, head)
    candidates = [
        column
        for column in columns
        if column.looks_like_label and not column.looks_like_text and not column.is_bookkeeping
    ]
    if len(candidates) > 1:  # texts that recur
        candidates = [column for column in candidates if by_name([column], TEXT_NAMES) is None] or candidates
    several = chosen is not None or len(flags) >= MANY_FLAGS or all(column in flags for column in candidates)
    if len(flags) > 1 and several:
        names = ", ".join(repr(column.name) for column in flags[:10])
        first = chosen or next((column for column in flags if len(column.counts) > 1), flags[0])
        raise UserError(
            f"the rows have several labels each (multi-label), in columns of their own: {names}",
            where=table.place,
            fix=f"Train one model for each label: {typed('data.label.column', first.name)}",
        )
    if table.headerless and len(candidates) > 1:
        fewest, second = sorted(candidates, key=lambda column: len(column.counts))[:2]
        candidates = [fewest] if len(fewest.counts) * MUCH_FEWER <= len(second.counts) else candidates
    if len(candidates) == 1:
        return LabelSection(column=candidates[0].name)
    fractions = [
        column for column in columns if column.holds_numbers and not column.is_bookkeeping and not column.numbers_rows
    ]
    if not candidates and len(fractions) == 1:
        return _rated(fractions[0], table, head)
    raise unclear_label(table, head, candidates)


def _named(columns: Sequence[Column]) -> Column | None:
    """The column that is named like a label.

    One that has such a name as a whole counts in any case, as in a file that is sorted by label; one that has it as a
    part, or a name that is less clear, if its values may be labels.
    """
    possible = [column for column in columns if column.present and not any(isinstance(v, dict) for v in column.present)]
    whole = by_name([column for column in possible if has_label_name(column)], LABEL_NAMES)
    if whole is not None:
        return whole
    varied = [
        column
        for column in possible
        if len(column.counts) > 1 and not column.holds_fractions and not column.looks_like_text
    ]
    return by_name(varied, LABEL_NAMES) or by_name(
        [column for column in varied if column.looks_like_label], PERHAPS_LABEL_NAMES
    )


def has_label_name(column: Column) -> bool:
    """Whether its whole name is that of a label."""
    return column.name.strip().casefold() in LABEL_NAMES


def _is_one_of_several(column: Column, flags: Sequence[Column]) -> bool:
    """Whether a column of 0 and 1 is one of several such: `toxic`, `obscene`, `threat`."""
    if column not in flags or has_label_name(column):
        return False
    others = [one for one in flags if one is not column]
    alike = by_name(others, (*LABEL_NAMES, *PERHAPS_LABEL_NAMES))
    return len(others) > 1 or alike is not None


def unclear_label(table: Table, head: Sequence[Column], candidates: Sequence[Column]) -> UserError:
    """The error where no column, or more than one, looks like the label."""
    what = "it is unclear which column is the label" if candidates else "no column looks like a label or a rating"
    lines = " or ".join(typed("data.label.column", column.name) for column in candidates[:5])
    listed = "; ".join(column.sample() for column in head[:30])
    if not candidates and all(
        column.looks_like_text or column.is_bookkeeping or column.numbers_rows for column in head
    ):
        return UserError(
            f"there are texts but no labels. The columns: {listed}",
            where=table.place,
            fix=f"To label them: feathertune predict RUN --input {shlex.quote(table.place)}. "
            "If they have labels: data.label.column=COLUMN",
        )
    return UserError(
        f"{what}. The columns: {listed}",
        where=table.place,
        fix=f"Name it: {lines or _ANY}",
    )


def _rated(column: Column, table: Table, head: Sequence[Column]) -> LabelSection:
    """A column of numbers: few whole ones are classes; ratings from 0 to 1 are split at 0.5; others as one says."""
    if column.looks_like_label:
        return LabelSection(column=column.name)
    try:
        values = [parse_rating(value) for value in column.present]
    except ValueError:
        raise unclear_label(table, head, []) from None
    named = table.headerless or by_name([column], RATING_NAMES) is not None
    if named and min(values) >= 0 and max(values) <= 1:
        return LabelSection(rating=column.name, above=0.5)
    middle = sorted(values)[len(values) // 2]
    if _of_a_pair(head):
        return LabelSection(rating=column.name, at_least=middle)
    raise UserError(
        f"{column.name!r} holds numbers ({column.examples()}), from which a threshold makes two classes",
        where=table.place,
        fix=f"Give it, for example: {typed_rating(column.name, f'{middle:g}')}",
    )


def _of_a_pair(head: Sequence[Column]) -> bool:
    """Whether two columns are texts: then the pair is what has to be said first."""
    return sum(column.looks_like_text for column in head) > 1
