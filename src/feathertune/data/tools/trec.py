"""The lines of TREC's question classification: `DESC:manner How did serfdom develop in Russia ?`.

A class in capitals, a colon and a finer class, then a space and the question (Li and Roth 2002, 'Learning question
classifiers'). There are no other separators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Records, Tool

_LINE = re.compile(r"([A-Z]+:[a-z]+) (.*\S.*)")


def recognize(lines: Sequence[str]) -> Tool | None:
    """By lines that all begin with two classes, at least one of which occurs twice."""
    found = [_LINE.fullmatch(line) for line in lines if line.strip()]
    labels = [match[1] for match in found if match is not None]
    return Trec() if len(labels) == len(found) and 1 < len(set(labels)) < len(labels) else None


class Trec(Tool):
    """A label of two classes and a text a line."""

    name = "TREC"

    def __init__(self) -> None:
        super().__init__(Roles("text", "label"))

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        for row in records:
            if isinstance(row, BadRow):
                yield row
                continue
            line = str(row.fields["text"])
            match = _LINE.fullmatch(line)
            if match is not None:
                yield Row(row.place, row.row, {"text": match[2], "label": match[1]})
            elif line.strip():
                yield BadRow(row.place, f"the line does not begin with a class such as 'DESC:def': {line[:40]!r}")
