"""JSON files of rows, read strictly: repeated keys, NaN and Infinity are errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from feathertune.data.formats.delimited import empty_file
from feathertune.data.formats.lines import Lines
from feathertune.data.rows import BadRow, Row
from feathertune.data.texts import has_surrogates


def read_jsonl(path: Path) -> Iterator[Row | BadRow]:
    """The rows of a file with a JSON object on each line. Raises a UserError if it is empty."""
    with path.open("rb") as file:
        lines = Lines(file, path)
        for line in lines:
            place, problem = f"{path}:{lines.number}", lines.take_problem()
            if problem is not None:
                yield BadRow(place, problem.reason, problem.fix)
                continue
            try:
                fields = json_object(line)
            except ValueError as error:
                yield BadRow(place, str(error))
            else:
                yield Row(place, lines.number, fields)
        if lines.number == 0:
            raise empty_file(path)


def json_object(line: str) -> dict[str, object]:
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
