"""Finding the columns of text and label: by the recipe, the kind of file, their names, their content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from feathertune.data.column_notes import choice_notes, threshold_note, unused_notes
from feathertune.data.formats.format import Roles, Table
from feathertune.data.label_columns import find_label
from feathertune.data.pairs import refuse_pair
from feathertune.data.profiles import Column, text_by_name
from feathertune.data.rows import BadRow, missing_column
from feathertune.data.sources import Source, file_settings, open_source
from feathertune.data.tools.recognizing import unclear_label as unclear_question
from feathertune.errors import UserError
from feathertune.recipe.parsing import typed
from feathertune.recipe.schema import DataSection, LabelSection, Recipe

FIRST_ROWS, MANY_ROWS = 1000, 100_000  # the second where the first do not suffice, as in a file sorted by label
MUCH_LONGER = 1.5


@dataclass(frozen=True)
class Resolved:
    """A section with its columns named.

    Attributes:
        section: with `text` and `label` set.
        names: for the columns of files without a header, or None.
        notes: which columns were chosen, and which were not used.
    """

    section: DataSection
    names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


def resolve(section: DataSection) -> DataSection:
    """The section with its columns of text and label named. Raises a UserError if they cannot be found."""
    return _resolved(section).section


def with_columns(recipe: Recipe, say: Callable[[str], None] | None = None) -> Recipe:
    """The recipe with its columns of text and label named, as a run stores it. Raises a UserError as `resolve`.

    `say` gets the line on which columns were chosen, where the recipe does not name them.
    """
    resolved = _resolved(recipe.data)
    if say is not None:
        for note in resolved.notes:
            say(f"note: {note}")
    return recipe.model_copy(update={"data": resolved.section})


def _resolved(section: DataSection) -> Resolved:
    if section.text is not None and _names_label(section.label) and section.own_columns is True:
        return Resolved(section, None)
    return resolve_for(section, open_source(section.source, section.revision, file_settings(section)))


def resolve_for(section: DataSection, source: Source) -> Resolved:
    """Which columns of a source are its texts and labels.

    What the section names counts, unless it was written for another source (`own_columns`) and this one has no such
    column. A file without a header has no names: its columns get those of the section, or `text` and `label`.

    Raises:
        UserError: the source has no rows, or it is unclear which columns are meant.
    """
    table = source.splits["train"]
    if (
        section.text is not None
        and _names_label(section.label)
        and section.own_columns is True
        and not table.headerless
    ):
        return Resolved(section, None)
    try:
        return _find(section, table, read_head(table, FIRST_ROWS))
    except UserError:
        return _find(section, table, read_head(table, MANY_ROWS))


def text_columns(section: DataSection) -> tuple[str, ...]:
    """The columns of texts of a section; `text` if it names none."""
    if section.text is None:
        return ("text",)
    return (section.text,) if isinstance(section.text, str) else section.text


def joined_text(fields: Mapping[str, object], columns: Sequence[str]) -> object:
    """The text of a row: its only column of texts, or several joined by line breaks, without empty ones."""
    if len(columns) == 1:
        return fields[columns[0]]
    parts = [fields[column] for column in columns]
    wrong = next((part for part in parts if part is not None and not isinstance(part, str)), None)
    return wrong if wrong is not None else "\n".join(str(part) for part in parts if part)


def read_head(table: Table, count: int) -> list[Column]:
    """The columns of a table, with the values of its first rows.

    Raises:
        UserError: there is no usable row.
    """
    values: dict[str, list[object]] = {}
    bad: BadRow | None = None
    for row in islice(table.read(None), count):
        if isinstance(row, BadRow):  # bad rows among good ones are reported by `load_dataset`
            bad = bad or row
            continue
        for name, value in row.fields.items():
            values.setdefault(name, []).append(value)
    if not values and bad is not None:
        raise UserError(bad.reason, where=bad.place, fix=bad.fix)
    if not values:
        raise UserError("the train split is empty", where=table.place)
    return [Column(name, column) for name, column in values.items()]


def _names_label(label: LabelSection) -> bool:
    return label.column is not None or label.rating is not None


def _find(section: DataSection, table: Table, head: Sequence[Column]) -> Resolved:
    """The columns, from those that are given and the first rows."""
    names = [column.name for column in head]
    section = _without_foreign(section, head, headerless=table.headerless)
    roles = table.roles if table.roles is not None and {table.roles.text, table.roles.label} <= set(names) else None
    if table.headerless:
        return _find_without_header(section, table, head)
    texts = text_columns(section) if section.text is not None else None
    _check_given(section, texts, names, table)
    if texts is None and roles is not None:
        texts = (roles.text,)
    label = section.label
    if not _names_label(label):
        label = _label_of(section, table, head, texts, roles)
    if texts is None:
        texts = (_text_of(table, head, label),)
    given = section.text is not None and _names_label(section.label)
    chosen = section.model_copy(
        update={"text": texts[0] if len(texts) == 1 else texts, "label": label, "own_columns": True, "own_names": True}
    )
    return Resolved(chosen, None, choice_notes(head, texts, chosen.label, given=given, of_tool=roles is not None))


def _without_foreign(section: DataSection, head: Sequence[Column], *, headerless: bool) -> DataSection:
    """The section without the columns of another source, which this one lacks.

    A rating also needs numbers from 0 to 1: its threshold and names were chosen for such.
    """
    if section.own_columns is True:
        return section
    own_names = section.label.names if section.own_names else None
    shares = [column for column in head if column.holds_shares]
    rated = {column.name for column in shares}
    names = {column.name for column in head}
    if headerless:  # where no name tells, classes 0 and 1 are no ratings
        unsure = all(column.looks_like_label for column in shares)
        lost = section.own_columns != "label" and section.label.rating is not None and unsure
        return section.model_copy(update={"label": LabelSection(names=own_names)}) if lost else section
    update: dict[str, object] = {}
    if section.own_columns != "text" and section.text is not None and not set(text_columns(section)) <= set(names):
        update["text"] = None
    label = section.label
    if (
        section.own_columns != "label"
        and _names_label(label)
        and (label.column or label.rating) not in (names if label.rating is None else rated)
    ):
        update["label"] = LabelSection(annotators=label.annotators, names=own_names)  # a threshold is that column's
    return section.model_copy(update=update)


def _check_given(section: DataSection, texts: tuple[str, ...] | None, names: list[str], table: Table) -> None:
    """Refuse columns that are named but do not exist."""
    label = section.label.column or section.label.rating
    for column, key in (*((text, "data.text") for text in texts or ()), (label, "data.label")):
        if column is not None and column not in names:
            raise UserError(missing_column(column, names), where=table.place, fix=f"Set {key}.")


def _find_without_header(section: DataSection, table: Table, head: Sequence[Column]) -> Resolved:
    """Name the columns of a file without a header, once their content shows which is which."""
    names = [column.name for column in head]
    given = text_columns(section) if section.text is not None else ()
    label = section.label.column or section.label.rating
    if given and set(given) <= set(names) and (label is None or label in names):
        return _find_named(section, table, head)
    found = find_label(head, text=None, table=table, named=section.label)
    label_column = found.column or found.rating or ""
    text_column = _text_of(table, head, found)
    fits = _fits(section.label, head, label_column)
    text_name = given[0] if len(given) == 1 else "text"
    label_name = label if label is not None and fits else "label"
    renamed = tuple({text_column: text_name, label_column: label_name}.get(name, name) for name in names)
    section_label = section.label if fits else LabelSection()
    if section_label.rating is None and section_label.column is None:
        kind = {"rating": label_name, "above": found.above} if found.rating is not None else {"column": label_name}
        section_label = section_label.model_copy(update=kind)
    own = {"own_columns": True, "own_names": True}
    chosen = section.model_copy(update={"text": text_name, "label": section_label} | own)
    positions = (
        f"text: column {names.index(text_column) + 1}, label: column {names.index(label_column) + 1}"
        f"{threshold_note(section_label) if section_label != section.label else ''}"
    )
    return Resolved(chosen, renamed, (positions, *unused_notes(head, (text_column,), label_column)))


def _find_named(section: DataSection, table: Table, head: Sequence[Column]) -> Resolved:
    """As with a header: the user calls the columns 'column 1', 'column 2'."""
    named = Table(table.place, table.name, table.read, table.fixed_columns, columns=table.columns)
    return _find(section, named, head)


def _fits(label: LabelSection, head: Sequence[Column], column: str) -> bool:
    """Whether a label of the recipe can be that column: a rating must be a column of numbers."""
    (found,) = (one for one in head if one.name == column)
    return label.rating is None or found.holds_numbers


def _label_of(
    section: DataSection, table: Table, head: Sequence[Column], texts: tuple[str, ...] | None, roles: Roles | None
) -> LabelSection:
    """The column of labels that nobody named."""
    if roles is not None and roles.choices:
        raise unclear_question(roles, table.place)
    if roles is not None and (texts is None or roles.label not in texts):
        return section.label.model_copy(update={"column": roles.label})
    found = find_label(head, text=texts, table=table, named=section.label)
    update = {"column": found.column, "rating": found.rating, "above": found.above}
    return section.label.model_copy(update=update)


def _text_of(table: Table, head: Sequence[Column], label: LabelSection) -> str:
    """The column of texts that nobody named."""
    others = [column for column in head if column.name not in (label.column, label.rating)]
    refuse_pair(table, head, label)
    texts = [column for column in others if column.looks_like_text]
    for candidates in (texts, [column for column in others if column.holds_texts]):
        named = text_by_name(candidates)
        if named is not None:
            return named.name
        if len(candidates) == 1:
            return candidates[0].name
        longest = sorted(candidates, key=lambda column: column.mean_length, reverse=True)
        if len(longest) > 1 and longest[0].mean_length >= MUCH_LONGER * longest[1].mean_length:
            return longest[0].name
        if candidates:
            break
    numbers = text_by_name(column for column in others if column.holds_numbers)
    if not texts and numbers is not None:
        raise UserError(
            f"the column of texts holds numbers: {numbers.sample()}",
            where=table.place,
            fix=f"Give the column of texts, data.text=COLUMN. {_listed(head)}",
        )
    if not candidates:
        lists = [column.name for column in others if any(isinstance(value, list | dict) for value in column.present)]
        held = f"; {lists[0]!r} holds lists or objects, whose words must be joined first" if lists else ""
        raise UserError(
            f"no column{' but the label' if len(head) > 1 else ''} holds texts{held}. {_listed(head)}",
            where=table.place,
            fix="Give the column of texts, data.text=COLUMN.",
        )
    lines = " or ".join(typed("data.text", column.name) for column in candidates[:5])
    raise UserError(
        f"it is unclear which column is the text. {_listed(head)}", where=table.place, fix=f"Name it: {lines}."
    )


def _listed(head: Sequence[Column]) -> str:
    return "The columns: " + "; ".join(column.sample() for column in head[:30])
