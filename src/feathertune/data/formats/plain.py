"""Text files with one text a line, in the column `text`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from feathertune.data.formats.content import Content
from feathertune.data.formats.delimited import fitted_row
from feathertune.data.formats.format import Table
from feathertune.data.formats.lines import without_line_end
from feathertune.data.formats.opened import Sniffed
from feathertune.data.rows import BadRow, Row


def read_plain(content: Content) -> Iterator[Row | BadRow]:
    """The lines of a file, each as a row."""
    with content.lines() as lines:
        for line in lines:
            yield fitted_row(content.path, lines.number, ("text",), [without_line_end(line)], lines.take_problem())


def plain_table(file: Sniffed) -> Table:
    """A file of texts without labels, one a line."""
    found = replace(file.format, kind="txt")
    return Table(file.place, file.content.path.name, lambda _: read_plain(file.content), True, found, ("text",))
