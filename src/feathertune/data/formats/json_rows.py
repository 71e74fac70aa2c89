"""JSON files as rows: an object a line, an array, an object of columns, or any of these under a key.

An array is read element by element. An array in place of an object has the fields of columns without names, a string
is a text alone. Objects inside a row stay as they are, for the exports of label tools; `flat_rows` gives their fields
names with dots, as pandas' `json_normalize` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from feathertune.data.formats.content import Content
from feathertune.data.formats.format import FileSettings
from feathertune.data.formats.header import first_row_names
from feathertune.data.formats.json_shapes import Plan, descend
from feathertune.data.formats.json_stream import Faulty, JsonStream, json_value
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

_SAMPLED = 200


class Form(NamedTuple):
    """What a row is in the file: an object (no columns), or values of these columns; `header` if those are named."""

    columns: tuple[str, ...] | None = None
    header: bool | None = None


_Value = tuple[str, int, object]  # where it is, its number among the rows, and itself (or why it is none)


def line_rows(content: Content, form: Form, names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
    """The rows of a file with a JSON value on each line. Empty lines at the end are left out."""
    return _rows(_line_values(content), form, names)


def document_rows(content: Content, plan: Plan, form: Form, names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
    """The rows of a JSON document. Raises UserError where it is no JSON."""
    return _rows(_document_values(content, plan), form, names)


def line_form(content: Content, settings: FileSettings) -> Form:
    """What the rows of a file with JSON lines are."""
    return _form(_line_values(content), settings)


def document_form(content: Content, plan: Plan, settings: FileSettings) -> Form:
    """What the rows of a JSON document are."""
    return _form(_document_values(content, plan), settings)


def flat_rows(rows: Iterable[Row | BadRow]) -> Iterator[Row | BadRow]:
    """The rows with the fields of objects in place of the objects, named `object.field`."""
    for row in rows:
        if isinstance(row, Row) and any(type(value) is dict for value in row.fields.values()):
            yield Row(row.place, row.row, _flat(row.fields))
        else:
            yield row


def _flat(fields: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in fields.items():
        if not isinstance(value, dict):
            flat[name] = value
            continue
        for inner, part in _flat(value).items():
            if f"{name}.{inner}" not in fields:  # a column of that very name keeps its values
                flat[f"{name}.{inner}"] = part
    return flat


def _form(values: Iterator[_Value], settings: FileSettings) -> Form:
    sample = [value for _, _, value in islice(values, _SAMPLED) if not isinstance(value, Faulty)]
    lists = [value for value in sample if isinstance(value, list)]
    if len(lists) * 2 > len(sample):
        header = settings.header
        if header is None:
            header = settings.columns is None and first_row_names(lists)
        names = tuple(map(str, lists[0])) if header else tuple(f"column {index + 1}" for index in range(len(lists[0])))
        return Form(settings.columns or names, header)
    if sum(isinstance(value, str) for value in sample) * 2 > len(sample):
        return Form(("text",))
    return Form()


def _rows(values: Iterator[_Value], form: Form, names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
    columns = form.columns
    if form.header is True:
        values = islice(values, 1, None)
    elif form.header is False and names is not None:
        columns = names
    for place, number, value in values:
        if type(value) is dict and columns is None:
            yield Row(place, number, value)
        elif isinstance(value, Faulty):
            yield BadRow(place, value.reason, value.fix)
        elif columns is None:
            yield BadRow(place, "not a JSON object ({...})")
        else:
            yield _fitted(place, number, columns, value)


def _fitted(place: str, number: int, columns: tuple[str, ...], value: object) -> Row | BadRow:
    cells = value if isinstance(value, list) else [value]
    if isinstance(value, dict) or len(cells) != len(columns):
        reason = "an object" if isinstance(value, dict) else f"{len(cells)} values"
        return BadRow(place, f"{reason} where {len(columns)} are expected ({', '.join(columns)})")
    return Row(place, number, dict(zip(columns, cells, strict=True)))


def _line_values(content: Content) -> Iterator[_Value]:
    blank: list[int] = []
    path = str(content.path)
    with content.lines() as lines:
        for line in lines:
            number, problem = lines.number, lines.take_problem()
            if problem is not None:
                value: object = Faulty(problem.reason, problem.fix)
            elif not line.strip():
                blank.append(number)
                continue
            else:
                value = _line_value(line)
            if blank:  # within the file; at its end nobody means a row by them
                yield from ((f"{path}:{empty}", empty, Faulty("the line is empty")) for empty in blank)
                blank = []
            yield f"{path}:{number}", number, value


def _line_value(line: str) -> object:
    try:
        return json_value(line)
    except ValueError as error:
        text = line.rstrip()
        if text.endswith(","):  # the lines of an array without its brackets
            return _line_value(text[:-1])
        return Faulty(str(error))


def _document_values(content: Content, plan: Plan) -> Iterator[_Value]:
    with content.characters() as file:
        stream = JsonStream(file.read, str(content.path))
        if not descend(stream, plan.path):
            raise UserError(f"the file no longer has {'.'.join(plan.path)!r}", where=str(content.path))
        for number, (line, value) in enumerate(_layout_values(stream, plan.layout), 1):
            yield f"{content.path}:{line}, row {number}", number, value


def _layout_values(stream: JsonStream, layout: str) -> Iterator[tuple[int, object]]:
    """(line, row) of a part of a document, by its layout."""
    if layout == "rows":
        yield from stream.elements()
    elif layout == "values":
        while stream.peek():
            yield stream.line, stream.value()
    elif layout == "records":
        for _ in stream.members():
            yield stream.line, stream.value()
    elif layout == "classes":
        for name in stream.members():
            for line, text in stream.elements():
                yield line, text if isinstance(text, Faulty) else {"text": text, "label": name}
    else:
        line, value = stream.line, stream.value()
        if isinstance(value, Faulty):
            raise stream.error(value.reason)
        assert isinstance(value, dict)
        for row in _whole(value, layout):
            yield line, row


def _whole(value: dict[str, object], layout: str) -> Iterator[object]:
    """The rows of an object that is only a table as a whole, without their lines."""
    if layout == "record":
        yield value
    elif layout == "split":
        names, data = value["columns"], value["data"]
        assert isinstance(names, list)
        assert isinstance(data, list)
        for cells in data:
            fits = isinstance(cells, list) and len(cells) == len(names)
            yield dict(zip(names, cells, strict=True)) if fits else Faulty(f"the row has not {len(names)} values")
    elif layout == "cells":
        columns = {name: cells for name, cells in value.items() if isinstance(cells, dict)}
        for key in dict.fromkeys(key for cells in columns.values() for key in cells):
            yield {name: cells.get(key) for name, cells in columns.items()}
    else:
        columns_of = {name: cells for name, cells in value.items() if isinstance(cells, list)}
        for cells in zip(*columns_of.values(), strict=True):
            yield dict(zip(columns_of, cells, strict=True))
