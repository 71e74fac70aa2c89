"""A dataset as a file: what was understood of a source, in columns that anyone reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feathertune.data.example import Dataset, Split
from feathertune.errors import UserError
from feathertune.system.files import atomic_path

SUFFIXES = (".parquet", ".csv", ".jsonl")
_ROWS = 8192  # written at a time


def check_conversion(path: Path) -> None:
    """Raise a UserError if `convert` could not write to `path`: it exists, or its suffix is none of SUFFIXES."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError("a dataset is not written to such a file", where=str(path), fix=f"Give {', '.join(SUFFIXES)}.")
    if path.exists():
        raise UserError("there is such a file already", where=str(path), fix="Give another name, or remove it.")


def convert(dataset: Dataset, path: Path) -> None:
    """Write a dataset as parquet, csv or jsonl, by the suffix; reading the file gives the same dataset again.

    Its columns: text, label (by name), rating (where labels come from one), split, row (of the source), place.

    Raises:
        UserError: as `check_conversion`; or labels are shares of annotators, which no column of labels holds.
    """
    check_conversion(path)
    if any(split.shares is not None for split in dataset.splits.values()):
        raise UserError(
            "the labels are shares of several annotators, which a column of labels cannot hold",
            where=dataset.source,
            fix="Set data.label.annotators=majority.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".parquet":
            _write_parquet(dataset, temporary)
        else:
            _write_lines(dataset, temporary, as_csv=path.suffix.lower() == ".csv")


def _schema(dataset: Dataset) -> pa.Schema:
    rated = any(split.ratings is not None for split in dataset.splits.values())
    kinds = {"text": pa.string(), "label": pa.string(), **({"rating": pa.float64()} if rated else {})}
    return pa.schema({**kinds, "split": pa.string(), "row": pa.int64(), "place": pa.string()})


def _tables(dataset: Dataset) -> Iterator[pa.RecordBatch]:
    """The examples of all splits, some thousand at a time."""
    schema = _schema(dataset)
    for split in dataset.splits.values():
        for start in range(0, len(split), _ROWS):
            yield pa.record_batch(_columns(split, dataset.label_names, start, schema), schema=schema)


def _columns(split: Split, names: tuple[str, ...], start: int, schema: pa.Schema) -> dict[str, Any]:
    end = min(start + _ROWS, len(split))
    columns: dict[str, Any] = {
        "text": split.texts.slice(start, end - start).combine_chunks(),
        "label": [names[label] for label in split.labels[start:end].tolist()],
        "split": [split.name] * (end - start),
        "row": split.rows[start:end],
        "place": [split.place(index) for index in range(start, end)],
    }
    if "rating" in schema.names:
        columns["rating"] = [None] * (end - start) if split.ratings is None else split.ratings[start:end]
    return {name: columns[name] for name in schema.names}


def _write_parquet(dataset: Dataset, path: Path) -> None:
    with pq.ParquetWriter(path, _schema(dataset)) as writer:
        for batch in _tables(dataset):
            writer.write_batch(batch)


def _write_lines(dataset: Dataset, path: Path, *, as_csv: bool) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _schema(dataset).names, lineterminator="\n")
        if as_csv:
            writer.writeheader()
        for batch in _tables(dataset):
            for row in batch.to_pylist():
                if as_csv:
                    writer.writerow(row)
                else:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
