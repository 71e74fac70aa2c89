"""Which column of a file is the text to predict: the one named, the one of training, or the one that looks like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from feathertune.data.columns import text_columns
from feathertune.data.formats.format import Table
from feathertune.data.profiles import Column, text_by_name
from feathertune.data.rows import BadRow, Row, missing_column
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from feathertune.recipe.yaml_text import load_yaml

NAME_IT = "Name the column of texts with --text-column."
_HOLDERS = ("data", "fields", "inputs")  # of Label Studio and Argilla
_ANSWERED = "_data_"  # before a name that a question of Label Studio has as well


class Chosen(NamedTuple):
    """The columns whose values, joined by line breaks, are the text; and what the user should know about it."""

    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose_text(
    columns: Sequence[str], rows: Sequence[Row], text_column: str | None, trained: DataSection, table: Table
) -> Chosen:
    """The text among the columns of a table, of which these are the first rows.

    Raises:
        UserError: there is no such column, or no single column looks like a text.
    """
    if text_column is not None:
        named = (text_column,) if text_column in columns else listed_columns(text_column)
        for column in named:
            if columns and column not in columns:
                raise UserError(missing_column(column, list(columns)), where=table.place, fix=NAME_IT)
        return Chosen(named)
    if not columns:
        return Chosen(text_columns(trained))
    wanted = text_columns(trained)
    if all(column in columns for column in wanted):
        return Chosen(wanted)
    if table.roles is not None and table.roles.text in columns:
        return Chosen((table.roles.text,))
    if "text" in columns:
        return Chosen(("text",))
    found = columns[0] if len(columns) == 1 else _by_content(columns, rows)
    if found is None:
        raise UserError(missing_column(wanted[0], list(columns)), where=table.place, fix=NAME_IT)
    what = " and ".join(repr(column[:60]) for column in wanted)
    return Chosen((found,), (f"{table.name}: the text is the column {found[:60]!r}, as there is no {what}",))


def listed_columns(text_column: str) -> tuple[str, ...]:
    """The columns of `[title, body]`; any other text is the name of one."""
    if not text_column.startswith("["):
        return (text_column,)
    names = load_yaml(text_column, "--text-column")
    return tuple(map(str, names)) if isinstance(names, list) and names else (text_column,)


def texts_of_records(records: Iterator[Row | BadRow], column: str) -> Iterator[Row | BadRow]:
    """A row for each record of a label tool, labelled or not: its text in `column`, and what lies beside it.

    The text is a field of the record, or of the object that holds what was to be labelled.
    """
    names = (column, column.removeprefix(_ANSWERED))
    for record in records:
        if isinstance(record, BadRow):
            yield record
            continue
        held = [record.fields, *(record.fields.get(key) for key in _HOLDERS)]
        found = (
            (one, name) for one in held if isinstance(one, dict) for name in names if isinstance(one.get(name), str)
        )
        holder, name = next(found, (None, column))
        if holder is None:
            yield BadRow(record.place, f"the record has no text {column!r}")
            continue
        plain = {key: value for key, value in holder.items() if value is None or isinstance(value, str | int | float)}
        beside = {"id": record.fields["id"]} if "id" in record.fields and "id" not in plain else {}
        plain.pop(name)
        yield Row(record.place, record.row, {**beside, column: holder[name], **plain})


def joined_text(fields: dict[str, object], columns: tuple[str, ...]) -> str:
    """The text of a row. Raises ValueError if a column is missing or holds no text."""
    if len(columns) == 1:
        value = fields.get(columns[0])
        if isinstance(value, str):
            return value
    values = []
    for column in columns:
        if column not in fields:
            raise ValueError(missing_column(column, list(fields)))
        value = fields[column]
        if value is None and len(columns) == 1:
            raise ValueError("the text is empty")
        if value is not None and not isinstance(value, str):
            raise ValueError(f"the {column} is not a text but {repr(value)[:60]}")
        values.append(value)
    return "\n".join(value for value in values if value)


def _by_content(columns: Sequence[str], rows: Sequence[Row]) -> str | None:
    """The column that is named like a text or, failing that, the only one that holds texts."""
    profiles = [Column(name, [row.fields.get(name) for row in rows]) for name in columns]
    texts = [column for column in profiles if column.looks_like_text]
    named = text_by_name(texts)
    if named is not None:
        return named.name
    return texts[0].name if len(texts) == 1 else None
