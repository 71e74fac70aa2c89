"""Workbooks: xlsx, xlsb, xls and ods, read with calamine.

The table of a sheet begins at the first column and row with a value; a title above the header is passed over. Numbers
that are integers are integers, times are ISO 8601 text, and a cell without a value, or with an error, is None.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    load_workbook,
)

from feathertune.data.formats.cell_header import first_row_names
from feathertune.data.formats.content import Content
from feathertune.data.formats.delimited import checked_columns
from feathertune.data.formats.workbook_parts import CellErrors, cell_errors
from feathertune.data.rows import Row
from feathertune.errors import UserError, in_short

SAMPLED_ROWS = 200
_EXACT = 2.0**53  # integers up to here are exact in a workbook's numbers


class SheetTable(NamedTuple):
    """Where the table of a sheet is.

    Attributes:
        sheet: its name.
        first: the 0-based row of the first example.
        columns: index -> name of the columns that are read.
        header: whether the columns' names are in the sheet.
        notes: what was left out.
        sample: the first rows, as text.
    """

    sheet: str
    first: int
    columns: dict[int, str]
    header: bool
    notes: tuple[str, ...]
    sample: list[list[str]]


class Workbook:
    """The sheets of a file. The last one opened stays in memory until its rows were read to the end."""

    def __init__(self, content: Content, kind: str) -> None:
        self._file, self._place = content.file(), str(content.path)
        self._named = content.path.suffix.lower() == f".{kind}"
        self._kept: CalamineSheet | None = None

    def names(self) -> list[str]:
        """The sheets with cells: the visible ones, or all if none is. Raises UserError if it is no workbook."""
        with self._book() as book:
            sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        visible = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
        return visible or [sheet.name for sheet in sheets]

    def table(self, name: str, header: bool | None, names: tuple[str, ...] | None) -> SheetTable | None:
        """Where a sheet's table is; None if the sheet is empty. `header` and `names` are what the user set of it.

        Raises:
            UserError: the sheet is unreadable, two columns have one name, or `names` are not as many as the columns.
        """
        errors = cell_errors(self._source(), name, self._place)
        sheet = self._sheet(name)
        sample = [[_text(cell) for cell in row] for row in islice(sheet.iter_rows(), SAMPLED_ROWS)]
        first = _first_row(sample)
        if first is None:
            return None
        named = header if header is not None else names is None and first_row_names(sample[first:])
        notes = _notes_above(sample, first) + _error_notes(errors)
        place = f"{self._place}:{first + 1}"
        return _table(sheet, name, sample[first:], first, named, names, notes, place)

    def rows(self, table: SheetTable, names: tuple[str, ...] | None) -> Iterator[Row]:
        """The rows of a table; empty ones are left out. A row's number is that of the sheet. Raises UserError."""
        columns = dict(zip(table.columns, names, strict=True)) if names is not None else table.columns
        cells = islice(self._sheet(table.sheet).iter_rows(), table.first, None)
        for number, row in enumerate(cells, table.first + 1):
            if row.count("") < len(row):
                fields = {name: _value(row[index]) for index, name in columns.items()}
                yield Row(f"{self._place}:{number}", number, fields)
        self._kept = None

    def _sheet(self, name: str) -> CalamineSheet:
        kept = self._kept
        if kept is None or kept.name != name:
            with self._book() as book:
                self._kept = kept = book.get_sheet_by_name(name)
        return kept

    @contextmanager
    def _book(self) -> Iterator[CalamineWorkbook]:
        try:
            # Of a path calamine goes by the suffix, of a file by the content, which it copies into memory.
            with ExitStack() as stack:
                file = self._source()
                if isinstance(file, Path) and not self._named:
                    file = stack.enter_context(file.open("rb"))
                yield stack.enter_context(load_workbook(file))
        except PasswordError:
            raise UserError(
                "the workbook is protected by a password", where=self._place, fix="Save it without one."
            ) from None
        except (CalamineError, OSError) as error:
            fix = "Save the sheet as xlsx or csv."
            raise UserError(f"not a readable workbook: {in_short(error)}", where=self._place, fix=fix) from None

    def _source(self) -> Path | BinaryIO:
        if not isinstance(self._file, Path):
            self._file.seek(0)
        return self._file


def _first_row(sample: list[list[str]]) -> int | None:
    """The row where a table begins: the first that is not empty and no title (a single cell above a wider table)."""
    filled = [sum(map(bool, row)) for row in sample]
    if not any(filled):
        return None
    least = 1 if max(filled) == 1 else 2
    return next(index for index, count in enumerate(filled) if count >= least)


def _notes_above(sample: list[list[str]], first: int) -> tuple[str, ...]:
    titles = [(row, cell) for row, cells in enumerate(sample[:first], 1) for cell in cells if cell]
    return tuple(f"row {row} is above the table and left out: {cell[:60]!r}" for row, cell in titles[:3])


def _error_notes(errors: CellErrors) -> tuple[str, ...]:
    if errors.number == 0:
        return ()
    if errors.number == 1:
        return (f"the cell {errors.first} holds an error such as #N/A and counts as empty",)
    return (f"{errors.number:,} cells, the first {errors.first}, hold errors such as #N/A and count as empty",)


def _table(
    sheet: CalamineSheet,
    name: str,
    sample: list[list[str]],
    first: int,
    header: bool,
    names: tuple[str, ...] | None,
    notes: tuple[str, ...],
    place: str,
) -> SheetTable:
    """The columns of the table whose header, or first example, is in row `first`."""
    begin = first + header
    titles = [title.strip() for title in sample[0]] if header else [""] * len(sample[0])
    unnamed = [index for index, title in enumerate(titles) if not title]
    empty, counting = _left_out(sheet, begin, unnamed, counts=header) if unnamed else (set(), set())
    kept = [index for index in range(len(titles)) if index not in empty | counting]
    found = [titles[index] or f"column {number}" for number, index in enumerate(kept, 1)]
    if header:
        checked_columns(found, place)
        if len(empty) > 0:
            notes = (*notes, f"{_columns(len(empty))} left out")
        if counting:
            notes = (*notes, "the first column has no name and counts the rows: it is left out")
    if names is not None:
        if len(names) != len(kept):
            raise UserError(f"data.columns names {len(names)} columns, the sheet has {len(kept)}", where=place)
        found = list(names)
    return SheetTable(name, begin, dict(zip(kept, found, strict=True)), header, notes, sample[header:])


def _columns(count: int) -> str:
    if count == 1:
        return "a column without a name or a value is"
    return f"{count} columns without a name or a value are"


def _left_out(sheet: CalamineSheet, begin: int, unnamed: list[int], *, counts: bool) -> tuple[set[int], set[int]]:
    """Of the columns without a name: those that are empty throughout and, with `counts`, one that counts the rows."""
    empty, counting = set(unnamed), {0} & set(unnamed) if counts else set()
    start: object = None
    for number, row in enumerate(islice(sheet.iter_rows(), begin, None)):
        empty = {index for index in empty if row[index] == ""}
        if counting:
            start = row[0] if number == 0 else start
            if start not in (0.0, 1.0) or row[0] != start + number:
                counting = set()
        if not empty and not counting:
            break
    return empty, counting - empty


def _value(cell: object) -> object:
    """A cell as the value of a field."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) <= _EXACT:
        return int(cell)
    if isinstance(cell, datetime.date | datetime.time):  # a datetime is a date
        return cell.isoformat()
    return str(cell) if isinstance(cell, datetime.timedelta) else cell


def _text(cell: object) -> str:
    value = _value(cell)
    return "" if value is None else str(value)
