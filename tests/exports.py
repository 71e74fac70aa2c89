"""Exports of label tools, read as a file of records or of lines would be."""

from __future__ import annotations

import json
from collections.abc import Sequence

from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.recognizing import recognize
from feathertune.data.tools.tool import Tool


def recognized(records: Sequence[dict[str, object]], name: str = "export.json") -> Tool:
    tool = recognize(records, None, "json", name)
    assert tool is not None
    return tool


def labels(tool: Tool, records: Sequence[dict[str, object]]) -> list[tuple[object, object]]:
    """(text, label) of each row; None for no label. Fails on a bad row."""
    rows = list(tool.rows(Row(f"export.json:{number}", number, dict(one)) for number, one in enumerate(records, 1)))
    assert all(isinstance(row, Row) for row in rows), rows
    pairs = [(row.fields[tool.roles.text], row.fields[tool.roles.label]) for row in rows if isinstance(row, Row)]
    return [(text, None if label == () else label) for text, label in pairs]


def read(records: Sequence[dict[str, object]], name: str = "export.json") -> list[tuple[object, object]]:
    """(text, label) of each row of an export that must be recognised."""
    return labels(recognized(records, name), records)


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def line_tool(text: str) -> Tool:
    tool = recognize([{"text": line} for line in text.splitlines()], ("text",), "txt", "data.txt")
    assert tool is not None
    return tool


def read_lines(text: str, name: str = "data.txt") -> list[Row | BadRow]:
    """The rows of a text file by lines; its tool must be recognised."""
    lines = text.splitlines()
    return list(line_tool(text).rows(Row(f"{name}:{n}", n, {"text": line}) for n, line in enumerate(lines, 1)))
