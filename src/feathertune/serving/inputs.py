"""What `predict --input` reads: a file of any kind that training reads, a folder, or standard input, as texts in order.

Each row becomes an `Example`: its text, and all its fields, which the output keeps. A row that cannot be predicted is
an `Example` too, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from feathertune.data.columns import text_columns
from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import DATA_SUFFIXES, open_file
from feathertune.data.rows import BadRow, Row
from feathertune.data.sources import open_source
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from feathertune.serving.text_column import choose_text, joined_text, texts_of_records
from feathertune.serving.typed_options import reworded, rewording

SPLIT = "split"  # the column that tells the tables of an input with several apart
_SAMPLED = 200  # rows by which the column of texts is found
_UNTYPED = ("csv", "tsv", "txt", "fasttext")  # kinds whose values are all texts
_NAMED_SO = {".tsv": "csv", ".ndjson": "jsonl"}  # suffixes whose kind has another name
_NUMBER = re.compile(r"(\d+)$")


class Problem(NamedTuple):
    """Why a row cannot be predicted, and what to do about it."""

    reason: str
    fix: str | None = None


class Example(NamedTuple):
    """A row of the input.

    Attributes:
        row: its 1-based number: the line of a text file.
        place: `file:line`, for messages.
        text: its text, also where that cannot be predicted; None if there is none.
        fields: column -> value, without the column of the text; as far as they are known.
        problem: why it cannot be predicted, or None.
    """

    row: int
    place: str
    text: str | None
    fields: dict[str, object]
    problem: Problem | None = None


@dataclass(frozen=True)
class Input:
    """An opened input.

    Attributes:
        place: for messages.
        read: the examples, in order; repeatedly, unless it is a stream.
        columns: the columns of `Example.fields`, if all rows have the same; None if that is known by reading them all.
        typed: whether values have types of their own (numbers, booleans), as in JSON; else all of them are texts.
        notes: what the user should know about how it is read, one sentence each; complete once all rows are read.
        waits: of a stream, whether the next row must be waited for.
        kind: how it is read, for messages; '' if unknown.
    """

    place: str
    read: Callable[[], Iterator[Example]]
    columns: tuple[str, ...] | None = None
    typed: bool = True
    notes: list[str] = field(default_factory=list)
    waits: Callable[[], bool] | None = None
    kind: str = ""


def open_input(path: Path, settings: FileSettings, text_column: str | None, trained: DataSection) -> Input:
    """Open a file or a folder.

    Args:
        path: of it.
        settings: what the user set about how files are read.
        text_column: the column of texts; by default the one that the model was trained on, else `text`, else the only
            one that looks like it.
        trained: the data that the model was trained on.

    Raises:
        UserError: it cannot be read, or no column is the text.
    """
    with rewording():
        tables, notes = _tables(path, settings)
    return input_of(str(path), tables, notes, text_column, trained)


def input_of(
    place: str,
    tables: dict[str, Table],
    notes: list[str],
    text_column: str | None,
    trained: DataSection,
    waits: Callable[[], bool] | None = None,
) -> Input:
    """The input whose rows are those of these tables, one after the other. Arguments and errors: see `open_input`."""
    several = len(tables) > 1
    with rewording():
        parts = [_Part(split, table, text_column, trained, several=several) for split, table in tables.items()]
    if several:
        listed = ", ".join(repr(part.split) for part in parts)
        notes.append(f"{place}: all of it is predicted, one part after the other ({listed}); see the column `{SPLIT}`")
    notes += dict.fromkeys(note for part in parts for note in part.notes)
    described = [part.table.format for part in parts]

    def read() -> Iterator[Example]:
        for part in parts:
            yield from part.read()
            notes.extend(note for note in part.notes_after() if note not in notes)

    typed = any(one is None or one.kind not in _UNTYPED for one in described)
    kind = next((part.sentence for part in parts if part.sentence), "")
    return Input(place, read, _all_columns(parts), typed, notes, waits, kind)


def _tables(path: Path, settings: FileSettings) -> tuple[dict[str, Table], list[str]]:
    """Split -> table, and notes. Of a folder without a train split: the name of each data file -> table."""
    if not path.is_dir():
        return open_file(path, settings).tables, []
    try:
        source = open_source(str(path), settings=settings)
    except UserError:
        files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in DATA_SUFFIXES and file.is_file()]
        if not files:
            raise
        opened = ((file.name, split, table) for file in files for split, table in _tables(file, settings)[0].items())
        return {name if split == "train" else f"{name}, {split}": table for name, split, table in opened}, []
    return source.splits, list(source.notes)


def _all_columns(parts: Sequence[_Part]) -> tuple[str, ...] | None:
    columns: dict[str, None] = {}
    for part in parts:
        if part.columns is None:
            return None
        columns |= dict.fromkeys(part.columns)
    return tuple(columns)


class _Part:
    """One table of an input, and which of its columns is the text."""

    def __init__(
        self, split: str, table: Table, text_column: str | None, trained: DataSection, *, several: bool
    ) -> None:
        self.split, self.table, self._several = split, table, several
        self._by_record = any(isinstance(row, Row) for row in islice(self._records(), _SAMPLED))
        head = list(islice(self._rows(None), _SAMPLED))
        listed = None if self._by_record else table.columns
        columns = listed or tuple(dict.fromkeys(name for row in _good(head) for name in row.fields))
        self._names = _names_of_headerless(table, columns, text_column, trained, _good(head))
        if self._names is not None:
            head = [_renamed(row, columns, self._names) for row in head]
            columns = self._names
        chosen = choose_text(columns, _good(head), text_column, trained, table)
        self._text, self.sentence = chosen.columns, _sentence(table)
        self.notes = [*table.notes, *chosen.notes]
        if self.sentence and not _as_named(table):
            self.notes.insert(0, f"{table.name}: {self.sentence}")
        kept = [name for name in columns if (name,) != self._text]
        if several and SPLIT not in kept:
            kept.insert(0, SPLIT)
        self.columns = tuple(kept) if table.fixed_columns and not self._by_record and columns else None

    def _rows(self, names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        return self._records() if self._by_record else self.table.read(names)

    def _records(self) -> Iterator[Row | BadRow]:
        """The text of each record of a label tool; none of other files."""
        if self.table.records is None or self.table.roles is None:
            return iter(())
        return texts_of_records(self.table.records(), self.table.roles.text)

    def read(self) -> Iterator[Example]:
        with rewording():
            number = 0
            for row in self._rows(self._names):
                if isinstance(row, BadRow):
                    number = _number(row, self.table) or number + 1
                    problem = Problem(reworded(row.reason), reworded(row.fix))
                    yield Example(number, row.place, None, self._extra({}), problem)
                else:
                    number = row.row
                    yield example(row, self._text, self._extra(row.fields))

    def notes_after(self) -> Sequence[str]:
        """What is known once all rows are read, such as what a label tool left out."""
        return () if self._by_record else self.table.notes_after()

    def _extra(self, fields: dict[str, object]) -> dict[str, object]:
        return {SPLIT: self.split} | fields if self._several else fields


def example(row: Row, text: tuple[str, ...], fields: dict[str, object]) -> Example:
    """The example of a row whose text is in the columns `text`, with these fields."""
    try:
        value = joined_text(row.fields, text)
    except ValueError as error:
        return Example(row.row, row.place, None, fields, Problem(reworded(str(error)), "Fix or remove the row."))
    if len(text) == 1:
        fields = fields.copy()
        del fields[text[0]]
    problem = None if value.strip() else Problem("the text is empty", "Fix or remove the row.")
    return Example(row.row, row.place, value, fields, problem)


def _names_of_headerless(
    table: Table, columns: Sequence[str], text_column: str | None, trained: DataSection, rows: Sequence[Row]
) -> tuple[str, ...] | None:
    """Names for the columns of a file without a header: those of training, where a text and a label are all it has."""
    label = trained.label.column or trained.label.rating
    text = text_columns(trained)
    if not table.headerless or len(columns) != 2 or len(text) != 1 or label is None or label == text[0]:
        return None
    if text_column in columns:
        return None
    first = choose_text(columns, rows, None, trained, table).columns[0] == columns[0]
    return (text[0], label) if first else (label, text[0])


def _renamed(row: Row | BadRow, columns: Sequence[str], names: Sequence[str]) -> Row | BadRow:
    if isinstance(row, BadRow):
        return row
    by_name = dict(zip(columns, names, strict=True))
    return Row(row.place, row.row, {by_name[name]: value for name, value in row.fields.items()})


def _sentence(table: Table) -> str:
    """How a table is read: 'read as: csv, `;` separated'."""
    sentence = getattr(table.format, "sentence", None)
    return str(sentence()) if sentence is not None else ""


def _as_named(table: Table) -> bool:
    """Whether it is read as the file's name says, so that nothing need be said about it."""
    found, suffix = table.format, Path(table.name).suffix.lower()
    if found is None:
        return True
    special = (found.compression, found.sheet, found.field, found.tool, found.escape)
    return (
        found.kind in (suffix[1:], _NAMED_SO.get(suffix))
        and found.separator in (None, "\t" if suffix == ".tsv" else ",")
        and found.quote in (None, '"')
        and found.header is not False
        and found.encoding in (None, "utf-8")
        and not any(special)
    )


def _good(rows: Sequence[Row | BadRow]) -> list[Row]:
    return [row for row in rows if isinstance(row, Row)]


def _number(row: BadRow, table: Table) -> int | None:
    """The number of a bad row, which ends its place: `file:12`, or `file:40, row 12`."""
    found = _NUMBER.search(row.place.removeprefix(table.place))
    return None if found is None else int(found[1])
