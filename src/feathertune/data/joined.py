"""Several tables with the same columns, read one after another as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Table
from feathertune.data.rows import BadRow, Row


def joined(tables: Sequence[Table], name: str) -> Table:
    """The rows of all tables, numbered through; a row's place is in its own file."""
    first = tables[0]
    alike = all(table.columns == first.columns for table in tables)

    def read(names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        number = 0
        for table in tables:
            for row in table.read(names):
                number += 1
                yield row if isinstance(row, BadRow) else Row(row.place, number, row.fields)

    return Table(
        first.place,
        name,
        read,
        alike and all(table.fixed_columns for table in tables),
        first.format,
        first.columns if alike else None,
        first.roles if all(table.roles == first.roles for table in tables) else None,
        tuple(dict.fromkeys(note for table in tables for note in table.notes)),
        lambda: tuple(note for table in tables for note in table.notes_after()),
    )
