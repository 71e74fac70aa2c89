"""Opening JSON files: which layout they have, and the tables in it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from feathertune.data.formats.format import Roles, Table
from feathertune.data.formats.json_rows import (
    document_form,
    document_rows,
    line_form,
    line_rows,
)
from feathertune.data.formats.json_shapes import Outline, Plan, outline, plans
from feathertune.data.formats.json_stream import JsonStream
from feathertune.data.formats.opened import OpenedFile, Sniffed
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.recognizing import DOCUMENT_KEYS, recognize_document
from feathertune.errors import UserError


def open_lines(file: Sniffed) -> OpenedFile:
    """Open a file with a JSON value on each line."""
    if file.settings.field is not None:
        raise UserError("data.field is for a JSON document, and this file has a JSON value a line", where=file.place)
    form = line_form(file.content, file.settings)
    found = replace(file.format, kind="jsonl", header=form.header)
    return OpenedFile({"train": file.table(partial(line_rows, file.content, form), found, columns=form.columns)})


def open_document(file: Sniffed, kind: str, start: str) -> OpenedFile:
    """Open a file of kind json (one document, which begins with `start`) or values (one after the other).

    Raises:
        UserError: it is no JSON, has no rows, or several parts of it may be the rows.
    """
    if kind == "values":
        return OpenedFile({"train": _table(file, Plan((), "values"))})
    if start == "[" and file.settings.field is None:
        return OpenedFile({"train": _table(file, Plan((), "rows"))})
    with file.content.characters() as text:
        stream = JsonStream(text.read, file.place)
        document = outline(stream)
        if stream.peek():
            raise stream.error("not valid JSON: there is more after the end of the document")
    of_tool = _of_tool(file, document) if file.settings.field is None else None
    if of_tool is not None:
        return of_tool
    by_split = plans(document, file.settings.field, file.place)
    tables = {split: _table(file, plan) for split, plan in by_split.items()}
    if len(tables) > 1:  # each has a key of its own, and one line tells how the file is read
        fields = ", ".join(".".join(plan.path) for plan in by_split.values())
        tables = {
            split: table if table.format is None else replace(table, format=replace(table.format, field=fields))
            for split, table in tables.items()
        }
    return OpenedFile(tables)


def _of_tool(file: Sniffed, document: Outline) -> OpenedFile | None:
    """The tables of a chatbot's document; None if it is none."""
    keys = DOCUMENT_KEYS & set(document.children)
    if not keys or (keys == {"train"} and not document.children["train"].holds(list)):
        return None
    with file.content.characters() as text:
        read = recognize_document(JsonStream(text.read, file.place).value(), file.place)
    if read is None:
        return None
    found = replace(file.format, kind="json", tool=read.name)

    def table(split: str, rows: list[Row | BadRow]) -> Table:
        notes = read.notes if split == "train" else ()
        return Table(file.place, file.content.path.name, lambda _: iter(rows), True, found, None, read.roles, notes)

    return OpenedFile({split: table(split, rows) for split, rows in read.splits.items()})


def _table(file: Sniffed, plan: Plan) -> Table:
    form = document_form(file.content, plan, file.settings)
    found = replace(file.format, kind="json", header=form.header, field=".".join(plan.path) or None)
    roles = Roles("text", "label") if plan.layout == "classes" else None
    read = partial(document_rows, file.content, plan, form)
    return file.table(read, found, columns=form.columns, roles=roles, notes=plan.notes)
