r"""Text files of fields between separators, read strictly: csv, tsv and their relatives.

Nothing is repaired: 'NA', 'null' and emoji are ordinary text. A row that does not fit becomes a `BadRow` with its line.
Where quotes are plain characters, only the end of a line ends a row; else a quoted field may contain separators and
line ends, and a row's line is the one it starts on (RFC 4180).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from feathertune.data.formats.content import Content
from feathertune.data.formats.dialect import Dialect, Fit, default_dialect, find_dialects, is_prose
from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.header import USUAL_NAMES, header_evidence
from feathertune.data.formats.lines import Lines, Problem
from feathertune.data.formats.names import Columns, name_columns
from feathertune.data.formats.opened import Sniffed
from feathertune.data.formats.sample import Sample
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

_BY_NAME = (".csv", ".tsv", ".tab", ".psv")  # text with columns even where its rows do not show it
_TITLE_LINES = 5  # before a table, at most
_SPACED = 3  # lines at least of a table, to tell that every second one is empty, or where it begins
_SAMPLED = 1000
_SEP = re.compile(r'("?)sep=(.)\1\s*', re.IGNORECASE)
_NO_SEPARATOR = "\n"  # of rows of one field, which is the whole line


def open_delimited(file: Sniffed, sample: Sample) -> Table | None:
    """A text file with separators as a table; None if it has no columns, as plain text.

    Args:
        file: the file, with what is known about it.
        sample: its decoded beginning.

    Raises:
        UserError: the file is empty; it can be read in two ways; its header cannot be used.
    """
    path, settings = file.content.path, file.settings
    start, lines, separator = _beginning(sample.lines)
    if not lines:
        raise empty_file(path)
    named = "\t" if settings.format == "tsv" else None
    given = {"separator": separator or settings.separator or named, "quote": settings.quote, "escape": settings.escape}
    suffix = Path(file.name).suffix.lower()
    fits = find_dialects(lines, suffix, given)
    title = 0 if fits else _title_lines(lines, suffix, given)
    if title:
        start, lines = start + title, lines[title:]
        fits = find_dialects(lines, suffix, given)
    if len(fits) > 1:
        raise _two_readings(path, fits)
    has_columns = settings.format in ("csv", "tsv") or suffix in _BY_NAME or settings.separator is not None
    if not fits and not has_columns:
        return None
    fit = fits[0] if fits else _in_one_column(lines) or default_dialect(lines, suffix, given)
    above, rows = _rows_above(lines, fit)
    if above:
        start, title, fit = start + above, title + above, replace(fit, rows=fit.rows[rows:])
    header = _header(path, settings, fit)
    columns = name_columns(path, start + 1, fit.rows, header=header, names=settings.columns)
    dialect = fit.dialect
    found = replace(
        file.format,
        kind="csv",
        separator=None if dialect.separator == _NO_SEPARATOR else dialect.separator,
        quote=dialect.quote,
        escape=dialect.escape,
        header=header,
    )
    spaced = len(lines) > _SPACED and not any(map(str.strip, lines[1:_SAMPLED:2])) and all(lines[0:_SAMPLED:2])
    reading = _Reading(path, dialect, start + header, file.content, spaced)
    notes = columns.notes
    notes += (f"before the table: {' '.join(sample.lines[:start]).strip()[:80]!r}",) if title else ()
    notes += ("empty lines between the rows are left out",) if spaced else ()
    return file.table(
        lambda names: reading.rows(columns if names is None else columns.renamed(names)),
        found,
        columns=columns.kept,
        notes=notes,
    )


@dataclass(frozen=True)
class _Reading:
    """How the rows of a file are read: those after `skip` lines of the file (and its header).

    `spaced`: every second line is empty, as where Windows programs write line ends twice; these are no rows.
    """

    path: Path
    dialect: Dialect
    skip: int
    content: Content
    spaced: bool = False

    def rows(self, columns: Columns) -> Iterator[Row | BadRow]:
        """The rows, under the names of their columns. Blank lines at the end of the file are none."""
        with self.content.lines() as lines:
            for _ in range(self.skip - columns.header):
                next(lines, None)
            lines.take_problem()
            read = (
                self._plain(lines) if self.dialect.quote is None and self.dialect.escape is None else self._csv(lines)
            )
            header: list[str] | None = None
            if columns.header:
                header = _checked_header(self.path, next(read, None))
            blank: list[BadRow] = []
            pick = None if columns.all_kept else columns.pick
            if columns.empty:
                read = _overflows(read, columns)
            count, kept, path = columns.count, columns.kept, str(self.path)
            for line, values, problem in read:
                if problem is None and len(values) == count and values != header:
                    if blank:
                        yield from blank
                        blank.clear()
                    fields = values if pick is None else pick(values)
                    yield Row(f"{path}:{line}", line, dict(zip(kept, fields, strict=True)))
                    continue
                if self.spaced and problem is None and not any(values):
                    continue
                bad = _bad_row(f"{path}:{line}", columns, values, problem)
                if problem is None and not any(values):
                    blank.append(bad)
                else:
                    yield from blank
                    blank.clear()
                    yield bad

    def _plain(self, lines: Lines) -> Iterator[tuple[int, list[str], Problem | None]]:
        separator = self.dialect.separator
        for line in lines:
            values = (line[:-1].removesuffix("\r") if line.endswith("\n") else line).split(separator)
            yield lines.number, values, lines.take_problem()

    def _csv(self, lines: Lines) -> Iterator[tuple[int, list[str], Problem | None]]:
        reader = self.dialect.reader(lines)
        while True:
            start = lines.number + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                through = f" in lines {start} to {lines.number}" if lines.number > start else ""
                yield start, [], lines.take_problem() or Problem(f"not valid CSV{through}: {error}")
            else:
                yield start, values, lines.take_problem()


def _overflows(
    read: Iterator[tuple[int, list[str], Problem | None]], columns: Columns
) -> Iterator[tuple[int, list[str], Problem | None]]:
    """The rows, of which those are bad that have something in a column that is left out as empty."""
    for line, values, problem in read:
        if problem is None and columns.overflows(values):
            problem = Problem("more fields than columns with names: is there a separator in a text without quotes?")
        yield line, values, problem


def empty_file(path: Path) -> UserError:
    """The error for a file without a row."""
    return UserError("the file is empty", where=str(path))


def _beginning(lines: Sequence[str]) -> tuple[int, list[str], str | None]:
    """Where the table begins: lines before it (blank, a comment, Excel's `sep=;`), those from it on, and `sep`."""
    start, separator = 0, None
    while start < len(lines) and not lines[start].strip():
        start += 1
    excel = _SEP.fullmatch(lines[start]) if start < len(lines) else None
    if excel is not None:
        return start + 1, list(lines[start + 1 :]), excel[2]
    while start + 2 < len(lines) and lines[start].startswith("#") and not lines[start + 1].startswith("#,"):
        if _separators(lines[start]) & _separators(lines[start + 1]):
            break
        start += 1
    return start, list(lines[start:]), separator


def _title_lines(lines: Sequence[str], suffix: str, given: dict[str, str | None]) -> int:
    """How many lines without a separator, such as a title, are before a table whose rows are all of one width."""
    for end in range(1, min(_TITLE_LINES, len(lines) - _SPACED) + 1):
        if not lines[end].strip():
            continue
        fits = find_dialects(lines[end:], suffix, given)
        if len(fits) == 1 and fits[0].share == 1 and not is_prose(fits[0]) and header_evidence(fits[0].rows):
            separator = fits[0].dialect.separator
            title = lines[:end]
            named = any(separator in line or line.strip().casefold() in USUAL_NAMES for line in title)
            return 0 if named else end
    return 0


def _rows_above(lines: Sequence[str], fit: Fit) -> tuple[int, int]:
    """The lines above the row of names that hold titles, each as a row of one filled cell, or nothing; and the titles.

    Rows without a filled cell count as lines alone, since a sample has none.
    """
    titles = 0
    for above, line in enumerate(lines[: _TITLE_LINES + 1]):
        try:
            row = next(fit.dialect.reader(iter([line])), [])
        except csv.Error:  # a field goes on in the next line
            return 0, 0
        filled = sum(map(bool, map(str.strip, row)))
        if filled > 1:
            named = titles and all(map(str.strip, row)) and fit.rows[titles] == row
            return (above, titles) if named and header_evidence(fit.rows[titles:]) is True else (0, 0)
        if len(fit.rows) <= titles + _SPACED or (filled and (len(row) < 2 or fit.rows[titles] != row)):
            return 0, 0
        titles += filled
    return 0, 0


def _in_one_column(lines: Sequence[str]) -> Fit | None:
    """A file whose first line is the name of its only column, over texts whose punctuation separates nothing."""
    rows = [[line.rstrip("\r\n")] for line in lines[:_SAMPLED]]
    named = rows[0][0].strip().casefold() in USUAL_NAMES
    if not named or any(row[0].startswith('"') for row in rows) or not any("," in row[0] for row in rows[1:]):
        return None
    return Fit(Dialect(_NO_SEPARATOR, None), 1.0, 0.0, rows)


def _separators(line: str) -> set[str]:
    return {separator for separator in (",", "\t", ";", "|") if separator in line}


def _header(path: Path, settings: FileSettings, fit: Fit) -> bool:
    """Whether the first row names the columns: as the user says, else by what is below it."""
    if settings.header is not None:
        return settings.header
    if settings.columns is not None and fit.rows and tuple(map(str.strip, fit.rows[0])) == settings.columns:
        return True
    evidence = header_evidence(fit.rows)
    if evidence is not None or not fit.rows:
        return evidence is not False
    then = f", then {_row(fit.rows[1])}" if len(fit.rows) > 1 else ", and there is no other row"
    raise UserError(
        f"it is unclear whether the first row names the columns: {_row(fit.rows[0])}{then}",
        where=f"{path}:1",
        fix="If it does: data.header=true; if it is an example like the others: data.header=false",
    )


def _two_readings(path: Path, fits: Sequence[Fit]) -> UserError:
    """The error for a file that two separators fit equally well."""
    shown = "; ".join(f"with `{fit.dialect.separator}` {', '.join(map(_row, fit.rows[:2]))}" for fit in fits)
    ways = " or ".join(f"data.separator={_typed(fit.dialect.separator)}" for fit in fits)
    return UserError(f"the rows can be read in two ways: {shown}", where=str(path), fix=f"Choose one: {ways}")


def _typed(separator: str) -> str:
    """A separator as it is typed in a shell."""
    return "tab" if separator == "\t" else f"'{separator}'" if separator.isprintable() else f"${separator!r}"


def _row(cells: Sequence[str]) -> str:
    return "[" + " | ".join(cell[:40] for cell in cells[:6]) + "]"


def _checked_header(path: Path, read: tuple[int, list[str], Problem | None] | None) -> list[str] | None:
    if read is not None and read[2] is not None:
        raise UserError(read[2].reason, where=f"{path}:{read[0]}", fix=read[2].fix)
    return None if read is None else read[1]


def _bad_row(place: str, columns: Columns, values: list[str], problem: Problem | None) -> BadRow:
    if problem is not None:
        return BadRow(place, problem.reason, problem.fix)
    if not any(values):
        return BadRow(place, "the line is empty")
    if len(values) == columns.count:
        return BadRow(place, "the header again, as where files were joined")
    return BadRow(place, f"{len(values)} fields where {columns.count} are expected ({', '.join(columns.all)})")
