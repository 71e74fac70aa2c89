"""Predictions as Parquet, with types: row int64, label string, score and probabilities double, other columns by theirs.

A Parquet file's types stand before its first row, so an input whose values have types is read through once before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feathertune.data.chunks import in_chunks
from feathertune.serving.inputs import Example, Input
from feathertune.serving.outputs import Answer, Columns, cell

_GROUP_ROWS = 32_768
_GROUP_CHARACTERS = 2**24
_LARGEST = 2**63
_TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def survey(source: Input) -> dict[str, pa.DataType]:
    """Column -> type of an input, by all its rows: a column of several types is a string, of nothing as well."""
    if source.columns is not None and not source.typed:
        return dict.fromkeys(source.columns, pa.string())
    found: dict[str, set[pa.DataType]] = {name: set() for name in source.columns or ()}
    for example in source.read():
        for name, value in example.fields.items():
            known = found.setdefault(name, set())
            if value is not None:
                known.add(_type_of(value))
    return {name: _common(types) for name, types in found.items()}


def all_columns(examples: Iterable[Example]) -> tuple[str, ...]:
    """The columns of all examples, in the order in which they first occur."""
    columns: dict[str, None] = {}
    for example in examples:
        columns.update(dict.fromkeys(example.fields))
    return tuple(columns)


def write_parquet(answers: Iterator[Answer], columns: Columns, types: Mapping[str, pa.DataType], path: Path) -> None:
    """Write answers to a Parquet file; `types` are those of `columns.kept`."""
    kept = columns.kept or ()
    score, strings = pa.float64(), pa.string()
    own = [pa.int64(), strings, strings, score, *[score] * len(columns.label_names)]
    fields = [pa.field(name, kind) for name, kind in zip(columns.own, own, strict=True)]
    fields += [pa.field(columns.name(name, kept), types[name]) for name in kept]
    schema = pa.schema(fields)
    with pq.ParquetWriter(path, schema) as writer:
        for group in in_chunks(answers, _GROUP_ROWS, _GROUP_CHARACTERS, lambda answer: len(answer.text or "")):
            writer.write_table(pa.table(_arrays(group, columns, kept, schema), schema=schema))


def _arrays(group: list[Answer], columns: Columns, kept: tuple[str, ...], schema: pa.Schema) -> list[pa.Array]:
    predictions = [answer.prediction for answer in group]
    values: list[list[object]] = [
        [answer.row for answer in group],
        [answer.text for answer in group],
        [None if one is None else one.label for one in predictions],
        [None if one is None else one.score for one in predictions],
    ]
    values += [
        [None if one is None else one.probabilities[name] for one in predictions] for name in columns.label_names
    ]
    for name, kind in zip(kept, schema.types[len(columns.own) :], strict=True):
        values.append([_as_type(answer.fields.get(name), kind) for answer in group])
    return [pa.array(column, kind) for column, kind in zip(values, schema.types, strict=True)]


def _type_of(value: object) -> pa.DataType:
    """The type for a value; a string for what has none of its own here, such as an object."""
    if isinstance(value, list | tuple):
        inner = {_type_of(one) for one in value if one is not None}
        return pa.list_(_common(inner)) if not any(map(pa.types.is_nested, inner)) else pa.string()
    if type(value) is int and not -_LARGEST <= value < _LARGEST:
        return pa.string()
    return _TYPES.get(type(value), pa.string())


def _common(types: set[pa.DataType]) -> pa.DataType:
    """The one type of all, double for numbers; else string."""
    lists = {one for one in types if pa.types.is_list(one)}
    if lists and lists == types:
        return pa.list_(_common({one.value_type for one in lists}))
    if len(types) == 1:
        return next(iter(types))
    return pa.float64() if types == {pa.int64(), pa.float64()} else pa.string()


def _as_type(value: object, kind: pa.DataType) -> object:
    if value is None:
        return None
    if pa.types.is_list(kind):
        assert isinstance(value, list | tuple)
        return [_as_type(one, kind.value_type) for one in value]
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else cell(value)
    return value
