"""Parquet, Arrow and Feather files, and the tables of the Hub: columns of text, numbers, booleans and lists of them.

Objects (structs) are kept where they can hold a label tool's answers. All other columns, such as vectors, images and
times, are ignored, as they cannot be texts or labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feathertune.data.formats.content import Content
from feathertune.data.formats.names import checked_columns
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError, in_short

BATCH_ROWS = 4096


def rows_of_batch(batch: pa.RecordBatch | pa.Table, place: str, first: int) -> Iterator[Row | BadRow]:
    """The rows of an Arrow batch, numbered from `first` (1-based); the place of a row is `place:number`."""
    batch = batch.select(kept_columns(batch.schema))
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:  # Arrow does not validate text when reading: find the bad rows
        rows = None
    for index in range(batch.num_rows):
        number = first + index
        try:
            fields = batch.slice(index, 1).to_pylist()[0] if rows is None else rows[index]
        except UnicodeDecodeError as error:
            yield BadRow(f"{place}:{number}", f"not valid UTF-8 ({error.reason})")
            continue
        yield Row(f"{place}:{number}", number, fields)


def kept_columns(schema: pa.Schema) -> list[str]:
    """The names of the columns that can be texts or labels, or say something about them."""
    return [field.name for field in schema if _is_kept(field.type)]


def read_arrow(content: Content, kind: str) -> Iterator[Row | BadRow]:
    """The rows of a file of kind parquet or arrow. Raises a UserError if it is none.

    The integers of a Hugging Face ClassLabel become its names.
    """
    place = str(content.path)
    with _errors(place, kind), _source(content) as file:
        schema, batches = _opened(file, kind)
        classes = _class_names(schema)
        first = 1
        for batch in batches:
            for row in rows_of_batch(batch, place, first):
                if classes and isinstance(row, Row):
                    _name_classes(row.fields, classes)
                yield row
            first += batch.num_rows


def arrow_columns(content: Content, kind: str) -> tuple[str, ...]:
    """The columns that are read. Raises a UserError if the file is not of its kind, or if two columns share a name."""
    with _errors(str(content.path), kind), _source(content) as file:
        schema, _ = _opened(file, kind)
    checked_columns(list(schema.names), str(content.path))
    return tuple(kept_columns(schema))


@contextmanager
def _errors(place: str, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        name = "Parquet" if kind == "parquet" else "Arrow"
        raise UserError(f"not a readable {name} file: {in_short(error)}", where=place) from None


def _source(content: Content) -> Any:
    """The file, or what is in a compressed one, as Arrow reads it: a context manager."""
    unpacked = content.unpacked()
    return pa.OSFile(str(content.path)) if unpacked is None else pa.BufferReader(pa.py_buffer(unpacked))


def _opened(file: Any, kind: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema, and the batches of at most BATCH_ROWS rows with the kept columns.

    Bytes are texts if those of the first batch are UTF-8: some programs write strings without saying so.
    """
    schema, batches = _as_written(file, kind)
    if not any(map(_is_bytes, schema.types)):
        return schema, batches
    first = next(batches, None)
    if first is None:
        return schema, iter(())
    texts = {name for name, column in zip(first.schema.names, first.columns, strict=True) if _holds_texts(column)}
    kinds = [pa.field(one.name, pa.string(), metadata=one.metadata) if one.name in texts else one for one in schema]
    return pa.schema(kinds, schema.metadata), (_decoded(batch, texts) for batch in chain([first], batches))


def _holds_texts(column: pa.Array) -> bool:
    if not _is_bytes(column.type):
        return False
    try:
        return not any("\0" in value for value in column.cast(pa.string()).to_pylist() if value)
    except pa.ArrowInvalid:
        return False


def _decoded(batch: pa.RecordBatch, texts: set[str]) -> pa.RecordBatch:
    """Columns of bytes as strings; what is not UTF-8 is found where the rows are made."""
    columns = [
        column.cast(pa.string(), safe=False) if name in texts else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _as_written(file: Any, kind: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if kind == "parquet":
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        columns = [field.name for field in schema if _is_kept(field.type) or _is_bytes(field.type)]
        return schema, parquet.iter_batches(BATCH_ROWS, columns=columns)
    start = file.read(6)
    file.seek(0)
    if start == b"ARROW1":
        reader = pa.ipc.open_file(file)
        return reader.schema, _pieces(reader.get_batch(index) for index in range(reader.num_record_batches))
    if start.startswith(b"FEA1"):
        from pyarrow import feather

        table = feather.read_table(file)
        return table.schema, _pieces(iter(table.to_batches()))
    stream = pa.ipc.open_stream(file)
    return stream.schema, _pieces(iter(stream))


def _pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def _is_kept(kind: pa.DataType) -> bool:
    """Scalars, lists of texts, integers or objects, and objects of all these."""
    if _is_list(kind):
        inner = kind.value_type
        return (_is_scalar(inner) and not pa.types.is_floating(inner)) or (
            pa.types.is_struct(inner) and _is_kept(inner)
        )
    if pa.types.is_struct(kind):
        return all(_is_kept(kind.field(index).type) for index in range(kind.num_fields))
    return _is_scalar(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_scalar(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_scalar(kind.value_type)
    checks = ("string", "large_string", "string_view", "integer", "floating", "boolean", "decimal", "null")
    return any(getattr(pa.types, f"is_{check}")(kind) for check in checks)


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Column -> the names of its ClassLabel (also one in a list), from the metadata that `datasets` writes."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = {column: _names_of(feature) for column, feature in features.items()}
    except (ValueError, LookupError, TypeError, AttributeError):  # metadata of another kind says nothing about classes
        return {}
    return {column: names for column, names in found.items() if names and column in schema.names}


def _names_of(feature: object) -> list[str]:
    if isinstance(feature, list):  # datasets before 4 wrote a list's feature in a list
        feature = {"_type": "List", "feature": feature[0]} if feature else None
    if not isinstance(feature, dict):
        return []
    if feature.get("_type") in ("Sequence", "List", "LargeList"):
        return _names_of(feature.get("feature"))
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _name_classes(fields: dict[str, object], classes: dict[str, list[str]]) -> None:
    for column, names in classes.items():
        value = fields.get(column)
        fields[column] = (
            [class_name(one, names) for one in value] if isinstance(value, list) else class_name(value, names)
        )


def class_name(value: object, names: list[str]) -> object:
    """The class name of a ClassLabel's integer; None for -1, which stands for a missing label; else the value."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    return names[value] if 0 <= value < len(names) else None
