"""Where predictions go: the columns that an output of an input has, and files that are whole or not there."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from feathertune.serving.inputs import Input
from feathertune.serving.outputs import Answer, Columns, OutputFormat, write_answers
from feathertune.serving.parquet_output import all_columns, survey, write_parquet
from feathertune.system.files import atomic_path


def needs_all(kind: str, output: Path | None, *, keep: bool) -> bool:
    """Whether the columns or types of all rows must be known before the first is written.

    Nobody sees a csv file before its end, so that it may wait; a csv on stdout goes by its first row.
    """
    return keep and (kind == "parquet" or (kind == "csv" and output is not None))


def output_columns(
    source: Input, label_names: tuple[str, ...], kind: str, *, keep: bool
) -> tuple[Columns, Mapping[str, Any]]:
    """The columns of the output, and for parquet the Arrow types of those that are kept of the input.

    Raises:
        UserError: the input, which has to be read through for this, cannot be read.
    """
    types: Mapping[str, Any] = {}
    kept: tuple[str, ...] | None = ()
    if keep and kind == "parquet":
        types = survey(source)
        kept = tuple(types)
    elif keep:
        kept = source.columns
        if kept is None and kind == "csv" and source.waits is None:
            kept = all_columns(source.read())
    return Columns.of(label_names, kept, kind), types


def write_file(
    answers: Iterator[Answer], columns: Columns, output: Path, kind: OutputFormat, types: Mapping[str, Any]
) -> None:
    """Write answers to a file, atomically: compressed if its name ends in .gz. `types`: see `output_columns`."""
    with atomic_path(output) as temporary:
        if kind == "parquet":
            write_parquet(answers, columns, types, temporary)
        elif output.suffix == ".gz":
            with gzip.open(temporary, "wt", encoding="utf-8", newline="") as file:
                write_answers(answers, columns, file, kind)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                write_answers(answers, columns, file, kind)
