"""A single file whose rows say which split they belong to, as in `text,label,split`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from feathertune.data.formats.format import Table
from feathertune.data.formats.split_names import SPLITS, split_of
from feathertune.data.rows import BadRow, Row

_NAMES = ("split", "set", "subset", "partition", "fold", "data_split", "dataset")
_HEAD_ROWS = 200


def by_split_column(table: Table) -> dict[str, Table]:
    """A table for each split, if a column has nothing but names of splits, train among them; else all as train.

    The table is read once more for it, if it has such a column.
    """
    head = [row.fields for row in islice(table.read(None), _HEAD_ROWS) if isinstance(row, Row)]
    for column in _NAMES:
        named = next((name for name in (head[0] if head else ()) if name.strip().casefold() == column), None)
        if named is None or not all(_split(fields.get(named)) for fields in head):
            continue
        there = {_split(row.fields.get(named)) for row in table.read(None) if isinstance(row, Row)}
        if "train" in there and None not in there and len(there) > 1:
            note = f"the splits are those of the column {named!r}"
            return {split: _rows_of(table, named, split, note) for split in SPLITS if split in there}
    return {"train": table}


def _split(value: object) -> str | None:
    return split_of(value) if isinstance(value, str) else None


def _rows_of(table: Table, column: str, split: str, note: str) -> Table:
    """The rows of one split, without that column; bad rows, whose split is unknown, are train's."""

    def read(names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for row in table.read(names):
            if isinstance(row, BadRow):
                if split == "train":
                    yield row
            elif _split(row.fields.get(column)) == split:
                yield Row(row.place, row.row, {name: value for name, value in row.fields.items() if name != column})

    columns = None if table.columns is None else tuple(name for name in table.columns if name != column)
    notes = (*table.notes, note) if split == "train" else ()
    after = table.notes_after if split == "train" else tuple
    return replace(table, read=read, columns=columns, notes=notes, notes_after=after)
