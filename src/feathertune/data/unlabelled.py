"""Splits without labels, as competitions publish their tests: they are no bad data, and are not evaluated."""

from __future__ import annotations

import shlex

from feathertune.data.columns import text_columns
from feathertune.data.formats.format import Table
from feathertune.data.rows import Row
from feathertune.recipe.schema import DataSection


def is_unlabelled(table: Table, section: DataSection, names: tuple[str, ...] | None) -> bool:
    """Whether a split has texts but no labels: no row has the column of labels, or all its values are empty.

    Rows are read up to the first label, which is the first row of all other splits.

    Args:
        table: a split other than train.
        section: with its columns named.
        names: for the columns of a file without a header, or None.
    """
    label = section.label.column or section.label.rating
    if table.headerless and names is not None and table.columns is not None and len(table.columns) != len(names):
        return len(table.columns) < len(names)
    texts = False
    for row in table.read(names if table.headerless else None):
        if not isinstance(row, Row):
            continue
        value = row.fields.get(str(label))
        if value is not None and str(value).strip():
            return False
        texts = texts or set(text_columns(section)) <= row.fields.keys()
    return texts


def unlabelled_note(name: str, table: Table) -> str:
    """That a split is not evaluated, with the command that labels it."""
    return (
        f"{table.name} ({name}) has no labels and is not evaluated; to label it: feathertune predict RUN --input "
        f"{shlex.quote(table.place)}"
    )
