"""Guessing the meaning of a source's columns, so that `inspect data SOURCE` needs no recipe."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from feathertune.data.formats.format import Table
from feathertune.data.labels import parse_rating
from feathertune.data.rows import BadRow, missing_column
from feathertune.data.sources import open_source
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection

TEXT_COLUMNS = ("text", "content", "sentence", "query", "question")
LABEL_COLUMNS = ("label", "class", "category", "target")
RATING_COLUMNS = ("rating", "score", "stars")
GOOGLE_COLUMNS = ("content", "rating")  # the names in the Hub's copy of Google's headerless files
SAMPLED_ROWS = 1000


def guess_columns(
    source: str,
    *,
    text: str | None = None,
    label: str | None = None,
    rating: str | None = None,
    above: float | None = None,
    at_least: float | None = None,
    revision: str | None = None,
) -> DataSection:
    """A `DataSection` for `source`, from the given options and from the names and first values of its columns.

    Raises:
        UserError: the source cannot be read, or a column cannot be guessed; the message names the missing option.
    """
    head = _read_head(
        open_source(source, revision).splits["train"], (text or GOOGLE_COLUMNS[0], rating or GOOGLE_COLUMNS[1])
    )
    for column in (text, label, rating):
        if column is not None and column not in head.columns:
            raise UserError(missing_column(column, list(head.columns)), where=source)
    labels = _label_section(source, head, label, rating, above, at_least)
    text = text or _text_column(source, head, labels.column or labels.rating)
    return DataSection(source=source, revision=revision, text=text, label=labels)


def resolve(section: DataSection) -> DataSection:
    """The section with its columns of text and label named: those that it leaves open are guessed. Raises UserError."""
    label = section.label
    if section.text is not None and (label.column is not None or label.rating is not None):
        return section
    text = None if section.text is None else text_columns(section)[0]
    guessed = guess_columns(section.source, text=text, revision=section.revision)
    found = {"column": guessed.label.column, "rating": guessed.label.rating, "above": guessed.label.above}
    if label.column is not None or label.rating is not None:
        found = {}
    return section.model_copy(update={"text": guessed.text, "label": label.model_copy(update=found)})


def text_columns(section: DataSection) -> tuple[str, ...]:
    """The columns of texts of a section that names them."""
    if section.text is None:
        return ("text",)
    return (section.text,) if isinstance(section.text, str) else section.text


@dataclass(frozen=True)
class _Head:
    """The first rows of a split: column -> values, in order."""

    columns: dict[str, list[object]]

    def find(self, names: tuple[str, ...]) -> str | None:
        """The first of `names` that is a column, ignoring case."""
        by_folded = {column.casefold(): column for column in reversed(self.columns)}
        return next((by_folded[name] for name in names if name in by_folded), None)

    def ratings(self, column: str) -> list[float]:
        """The column's values if all of them are numbers, else an empty list."""
        try:
            return [parse_rating(value) for value in self.columns[column]]
        except ValueError:
            return []


def _read_head(split: Table, headerless_columns: tuple[str, ...]) -> _Head:
    columns: dict[str, list[object]] = {}
    bad: BadRow | None = None
    for row in islice(split.read(headerless_columns), SAMPLED_ROWS):
        if isinstance(row, BadRow):  # bad rows among good ones are reported by `load_dataset`
            bad = bad or row
            continue
        for name, value in row.fields.items():
            columns.setdefault(name, []).append(value)
    if not columns and bad is not None:
        raise UserError(bad.reason, where=bad.place, fix=bad.fix)
    if not columns:
        raise UserError("the train split is empty", where=split.place)
    return _Head(columns)


def _label_section(
    source: str, head: _Head, label: str | None, rating: str | None, above: float | None, at_least: float | None
) -> LabelSection:
    """The given options; else a column named like a label; else a rating from 0 to 1 with the threshold above 0.5."""
    has_threshold = above is not None or at_least is not None
    if (label is not None and (rating is not None or has_threshold)) or (above is not None and at_least is not None):
        raise UserError(
            "the options contradict each other", fix="Give --label, or --rating with --above or --at-least."
        )
    if label is None and rating is None and not has_threshold:
        label = head.find(LABEL_COLUMNS)
    if label is not None:
        return LabelSection(column=label)
    rating = rating or head.find(RATING_COLUMNS)
    if rating is None:
        raise UserError(
            f"no column looks like a label or a rating ({_listed(head)})",
            where=source,
            fix="Name it: --label COLUMN, or --rating COLUMN with --above or --at-least NUMBER.",
        )
    if has_threshold:
        return LabelSection(rating=rating, above=above, at_least=at_least)
    values = head.ratings(rating)
    if not values or min(values) < 0 or max(values) > 1:
        raise UserError(
            f"the values of {rating!r} are not all numbers from 0 to 1, so no threshold can be guessed",
            where=source,
            fix="Give --above or --at-least NUMBER, or --label COLUMN.",
        )
    return LabelSection(rating=rating, above=0.5)


def _text_column(source: str, head: _Head, label_column: str | None) -> str:
    """A column named like a text; else the only column of texts that are not numbers, apart from the label's."""
    named = head.find(TEXT_COLUMNS)
    if named is not None and named != label_column:
        return named
    candidates = [
        column
        for column, values in head.columns.items()
        if column != label_column and all(isinstance(value, str) for value in values) and not head.ratings(column)
    ]
    if len(candidates) == 1:
        return candidates[0]
    raise UserError(
        f"it is unclear which column is the text ({_listed(head)})",
        where=source,
        fix="Name it: --text-column COLUMN.",
    )


def _listed(head: _Head) -> str:
    return "the columns are " + ", ".join(repr(column[:60]) for column in head.columns)
