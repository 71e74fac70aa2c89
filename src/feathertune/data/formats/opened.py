"""A file on its way to tables: what is known about it, and the tables that its rows make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from feathertune.data.formats.content import Content
from feathertune.data.formats.format import FileFormat, FileSettings, Roles, Table
from feathertune.data.formats.json_rows import flat_rows
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.recognizing import recognize
from feathertune.data.tools.tool import Tool

HEAD_ROWS = 200  # by which a label tool is recognised

Reader = Callable[[tuple[str, ...] | None], Iterator[Row | BadRow]]


@dataclass(frozen=True)
class OpenedFile:
    """A file's tables, split name -> table: `train` alone for most kinds."""

    tables: dict[str, Table]


@dataclass(frozen=True)
class Sniffed:
    """A file that is to be opened.

    Attributes:
        content: its bytes and characters.
        name: of the file, or of the one within a compressed file.
        format: what is known so far.
        settings: what the user set.
    """

    content: Content
    name: str
    format: FileFormat
    settings: FileSettings

    @property
    def place(self) -> str:
        """The path, for messages."""
        return str(self.content.path)

    def table(
        self,
        read: Reader,
        found: FileFormat,
        *,
        columns: tuple[str, ...] | None = None,
        roles: Roles | None = None,
        notes: tuple[str, ...] = (),
    ) -> Table:
        """The table of the rows that `read` yields. `columns` are those of all rows; None where rows may differ.

        The export of a label tool has the tool's rows; in others, objects are replaced by their fields.
        """
        head = [row.fields for row in islice(read(None), HEAD_ROWS) if isinstance(row, Row)]
        table = Table(self.place, self.content.path.name, read, columns is not None, found, columns, roles, notes)
        tool = recognize(head, columns, found.kind, self.name) if roles is None else None
        if tool is not None:
            return replace(self.of_tool(table, tool), records=lambda: read(None))
        if not any(isinstance(value, dict) for fields in head for value in fields.values()):
            return table
        flat = next((tuple(row.fields) for row in flat_rows(read(None)) if isinstance(row, Row)), columns)
        return replace(table, read=lambda names: flat_rows(read(names)), columns=None if columns is None else flat)

    def of_tool(self, table: Table, tool: Tool) -> Table:
        """The table of a label tool's export: the rows that the tool means, whose columns have names."""
        header = table.format.header or None if table.format is not None else None
        return replace(
            table,
            read=lambda _: tool.rows(table.read(None)),
            fixed_columns=False,
            columns=None,
            roles=tool.roles,
            notes_after=tool.notes,
            format=None if table.format is None else replace(table.format, header=header, tool=tool.name),
        )
