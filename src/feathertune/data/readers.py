r"""Strict streaming readers of tsv, csv, jsonl, parquet and txt files, which yield one `Row` or `BadRow` at a time.

Nothing is guessed or repaired: 'NA', 'null', quotes and emoji are ordinary text. A row that does not fit becomes a
`BadRow` with its line, which the caller can refuse or list. A file that is useless as a whole (missing, no header, not
Parquet) raises a UserError. Memory use does not grow with the file.

- tsv: fields are separated by tabs, quotes are plain characters, and only '\n' or '\r\n' ends a line.
- csv: RFC 4180; a quoted field may contain commas, tabs and line ends. A row's line is the one it starts on.
- jsonl: one object per line. Repeated keys, NaN and Infinity are errors.
- parquet: columns of text, numbers and booleans; all others are ignored, as they cannot be texts or labels.
- txt: one text per line, in the column `text`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feathertune.data.example import BadRow
from feathertune.data.lines import MAX_LINE, Lines, Problem, without_line_end
from feathertune.data.texts import has_surrogates
from feathertune.errors import UserError, in_short

BATCH_ROWS = 4096
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

# By default the csv module refuses fields of more than 131,072 characters. The limit is one of the whole process.
csv.field_size_limit(max(MAX_LINE, csv.field_size_limit()))


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `place` is `file:line` for messages, `row` the 1-based line (or row), `fields` column -> value."""

    place: str
    row: int
    fields: dict[str, object]


def read_rows(path: Path, headerless_columns: tuple[str, ...] | None = None) -> Iterator[Row | BadRow]:
    """The rows of a .tsv, .csv, .jsonl, .parquet or .txt file, in order.

    Args:
        path: the file.
        headerless_columns: the columns of a .tsv without a header (Google's layout: text TAB rating). A .tsv has no
            header if its first line has exactly as many fields and the last of them is a number.

    Raises:
        UserError: the file is missing, of another kind or empty, or its header is unreadable or ambiguous.
    """
    if not path.is_file():
        raise UserError("there is no such file", where=str(path))
    if path.suffix.lower() == ".tsv":
        return _read_tsv(path, headerless_columns)
    if path.suffix.lower() not in _READERS:
        kinds = ", ".join(sorted(DATA_SUFFIXES | {".txt"}))
        raise UserError(f"files of type {path.suffix!r} cannot be read", where=str(path), fix=f"Give one of {kinds}.")
    return _READERS[path.suffix.lower()](path)


def is_number(text: str) -> bool:
    """Whether `text` is a plain decimal number in ASCII, without white space, underscores, nan or infinity."""
    return _NUMBER.fullmatch(text) is not None


def rows_of_batch(batch: pa.RecordBatch | pa.Table, place: str, first: int) -> Iterator[Row | BadRow]:
    """The rows of an Arrow batch, numbered from `first` (1-based); the place of a row is `place:number`."""
    batch = batch.select([field.name for field in batch.schema if _is_scalar(field.type)])
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:  # Arrow does not validate text when reading: find the bad rows
        rows = None
    for index in range(batch.num_rows):
        number = first + index
        try:
            fields = batch.slice(index, 1).to_pylist()[0] if rows is None else rows[index]
        except UnicodeDecodeError as error:
            yield BadRow(f"{place}:{number}", f"not valid UTF-8 ({error.reason})")
            continue
        yield Row(f"{place}:{number}", number, fields)


def _read_tsv(path: Path, headerless_columns: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        lines = Lines(file, path)
        first = _split_tabs(_header_line(lines, path))
        if headerless_columns and len(first) == len(headerless_columns) and is_number(first[-1]):
            columns: Sequence[str] = headerless_columns
            yield _row(path, 1, columns, first, None)
        else:
            columns = _checked_columns(first, f"{path}:1")
        for line in lines:
            yield _row(path, lines.number, columns, _split_tabs(line), lines.take_problem())


def _read_csv(path: Path) -> Iterator[Row | BadRow]:
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
                columns = _checked_columns(values, f"{path}:{start}")
            else:
                yield _row(path, start, columns, values, problem)
        if columns is None:
            raise _empty_file(path)


def _read_jsonl(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        lines = Lines(file, path)
        for line in lines:
            place, problem = f"{path}:{lines.number}", lines.take_problem()
            if problem is not None:
                yield BadRow(place, problem.reason, problem.fix)
                continue
            try:
                fields = _json_object(line)
            except ValueError as error:
                yield BadRow(place, str(error))
            else:
                yield Row(place, lines.number, fields)
        if lines.number == 0:
            raise _empty_file(path)


def _read_txt(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        lines = Lines(file, path)
        for line in lines:
            yield _row(path, lines.number, ("text",), [without_line_end(line)], lines.take_problem())


def _read_parquet(path: Path) -> Iterator[Row | BadRow]:
    try:
        with pq.ParquetFile(path) as file:
            _checked_columns(file.schema_arrow.names, str(path))
            first = 1
            columns = [field.name for field in file.schema_arrow if _is_scalar(field.type)]
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield from rows_of_batch(batch, str(path), first)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"not a readable Parquet file: {in_short(error)}", where=str(path)) from None


_READERS: dict[str, Callable[[Path], Iterator[Row | BadRow]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
}
DATA_SUFFIXES = frozenset({".tsv", ".csv", ".jsonl", ".parquet"})  # the types that can contain labelled data


def _row(path: Path, line: int, columns: Sequence[str], values: list[str], problem: Problem | None) -> Row | BadRow:
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
        raise _empty_file(path)
    problem = lines.take_problem()
    if problem is not None:
        raise UserError(problem.reason, where=f"{path}:1", fix=problem.fix)
    return header


def _checked_columns(columns: list[str], place: str) -> tuple[str, ...]:
    if not any(columns):
        raise UserError("there is no header", where=place, fix="Name the columns in the first line.")
    for column in columns:
        if columns.count(column) > 1:
            raise UserError(f"two columns are named {column!r}", where=place, fix="Give each column its own name.")
    return tuple(columns)


def _empty_file(path: Path) -> UserError:
    return UserError("the file is empty", where=str(path))


def _split_tabs(line: str) -> list[str]:
    return without_line_end(line).split("\t")


def _json_object(line: str) -> dict[str, object]:
    """The JSON object in `line`. Raises ValueError with the reason if there is none."""
    if not line.strip():
        raise ValueError("the line is empty")
    try:
        value = json.loads(line, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at position {error.colno}") from None
    except RecursionError:
        raise ValueError("not readable JSON: nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object ({...})")
    if "\\u" in line:  # only an escape can be half of a surrogate pair
        for name, field in value.items():
            if any(isinstance(text, str) and has_surrogates(text) for text in (name, field)):
                raise ValueError(f"{name!r} contains half of a surrogate pair, which is not a character")
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} appears twice")
    return fields


def _refuse_constant(constant: str) -> object:
    raise ValueError(f"{constant} is not a number in JSON")


def _is_scalar(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_scalar(kind.value_type)
    checks = ("string", "large_string", "string_view", "integer", "floating", "boolean", "decimal", "null")
    return any(getattr(pa.types, f"is_{check}")(kind) for check in checks)
