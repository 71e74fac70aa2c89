"""Parquet and Arrow files, and the tables of the Hub: columns of text, numbers and booleans.

All other columns are ignored, as they cannot be texts or labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feathertune.data.formats.names import checked_columns
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError, in_short

BATCH_ROWS = 4096


def rows_of_batch(batch: pa.RecordBatch | pa.Table, place: str, first: int) -> Iterator[Row | BadRow]:
    """The rows of an Arrow batch, numbered from `first` (1-based); the place of a row is `place:number`."""
    batch = batch.select([field.name for field in batch.schema if _is_scalar(field.type)])
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


def read_parquet(path: Path) -> Iterator[Row | BadRow]:
    """The rows of a Parquet file. Raises a UserError if it is none."""
    try:
        with pq.ParquetFile(path) as file:
            checked_columns(file.schema_arrow.names, str(path))
            first = 1
            columns = [field.name for field in file.schema_arrow if _is_scalar(field.type)]
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield from rows_of_batch(batch, str(path), first)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"not a readable Parquet file: {in_short(error)}", where=str(path)) from None


def _is_scalar(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_scalar(kind.value_type)
    checks = ("string", "large_string", "string_view", "integer", "floating", "boolean", "decimal", "null")
    return any(getattr(pa.types, f"is_{check}")(kind) for check in checks)
