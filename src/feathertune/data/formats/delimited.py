r"""Text files of fields between separators, read strictly: csv, tsv and their relatives.

Nothing is repaired: 'NA', 'null' and emoji are ordinary text. A row that does not fit becomes a `BadRow` with its line.
Where quotes are plain characters, only the end of a line ends a row; else a quoted field may contain separators and
line ends, and a row's line is the one it starts on (RFC 4180).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from feathertune.data.formats.lines import MAX_LINE, Lines, Problem, without_line_end
from feathertune.data.rows import BadRow, Row, is_number
from feathertune.errors import UserError

# By default the csv module refuses fields of more than 131,072 characters. The limit is one of the whole process.
csv.field_size_limit(max(MAX_LINE, csv.field_size_limit()))


def read_tsv(path: Path, headerless_columns: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
    """The rows of a file with tabs between plain fields. Raises a UserError if its header is unreadable."""
    with path.open("rb") as file:
        lines = Lines(file, path)
        first = _split_tabs(_header_line(lines, path))
        if headerless_columns and len(first) == len(headerless_columns) and is_number(first[-1]):
            columns: Sequence[str] = headerless_columns
            yield fitted_row(path, 1, columns, first, None)
        else:
            columns = checked_columns(first, f"{path}:1")
        for line in lines:
            yield fitted_row(path, lines.number, columns, _split_tabs(line), lines.take_problem())


def read_csv(path: Path) -> Iterator[Row | BadRow]:
    """The rows of a comma-separated file. Raises a UserError if its header is unreadable."""
    with path.open("rb") as file:
        lines = Lines(file, path)
        reader = csv.reader(lines, strict=True)
        columns: Sequence[str] | None = None
        while True:
            start = lines.number + 1
            try:
                values = next(reader)
                problem = lines.take_problem()
            except StopIteration:
                break
            except csv.Error as error:
                through = f" in lines {start} to {lines.number}" if lines.number > start else ""
                values, problem = [], lines.take_problem() or Problem(f"not valid CSV{through}: {error}")
            if columns is None:
                if problem is not None:
                    raise UserError(problem.reason, where=f"{path}:{start}", fix=problem.fix)
                columns = checked_columns(values, f"{path}:{start}")
            else:
                yield fitted_row(path, start, columns, values, problem)
        if columns is None:
            raise empty_file(path)


def fitted_row(
    path: Path, line: int, columns: Sequence[str], values: list[str], problem: Problem | None
) -> Row | BadRow:
    """The fields of a line as a row, if they are as many as the columns and there is no problem."""
    place = f"{path}:{line}"
    if problem is not None:
        return BadRow(place, problem.reason, problem.fix)
    if len(values) != len(columns):
        if not any(values):
            return BadRow(place, "the line is empty")
        return BadRow(place, f"{len(values)} fields where {len(columns)} are expected ({', '.join(columns)})")
    return Row(place, line, dict(zip(columns, values, strict=True)))


def _header_line(lines: Lines, path: Path) -> str:
    header = next(lines, "")
    if not header.strip():
        raise empty_file(path)
    problem = lines.take_problem()
    if problem is not None:
        raise UserError(problem.reason, where=f"{path}:1", fix=problem.fix)
    return header


def checked_columns(columns: list[str], place: str) -> tuple[str, ...]:
    """The names of the columns. Raises a UserError if there are none, or if one occurs twice."""
    if not any(columns):
        raise UserError("there is no header", where=place, fix="Name the columns in the first line.")
    for column in columns:
        if columns.count(column) > 1:
            raise UserError(f"two columns are named {column!r}", where=place, fix="Give each column its own name.")
    return tuple(columns)


def empty_file(path: Path) -> UserError:
    """The error for a file without a row."""
    return UserError("the file is empty", where=str(path))


def _split_tabs(line: str) -> list[str]:
    return without_line_end(line).split("\t")
