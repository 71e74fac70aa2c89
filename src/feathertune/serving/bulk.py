"""Predicting a file: rows stream through in chunks, so that memory does not grow with the file; order is kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal

from feathertune.data.chunks import in_chunks
from feathertune.data.example import BadRow
from feathertune.data.loading import missing_column
from feathertune.data.readers import Row, read_rows
from feathertune.errors import UserError
from feathertune.serving.predictor import Prediction, Predictor

Format = Literal["csv", "json"]
CHUNK_ROWS = 1024  # predicted at a time: enough to sort by length, few enough to forget
CHUNK_CHARACTERS = 2**20  # or so many of their texts


def predict_rows(predictor: Predictor, path: Path, text_column: str | None) -> Iterator[tuple[int, Prediction]]:
    """(row, prediction) for each row of a csv, tsv, jsonl, parquet or txt file, in the file's order.

    Args:
        text_column: the texts' column; by default the one the model was trained on, else `text`.

    Raises:
        UserError: the file cannot be read, a row is bad or its text empty (file:line is named), no such column.
    """
    data = predictor.data
    headerless = (text_column or data.text, data.label.rating) if data.label.rating is not None else None
    texts = (_text(row, text_column, data.text) for row in read_rows(path, headerless))
    for chunk in in_chunks(texts, CHUNK_ROWS, CHUNK_CHARACTERS, lambda item: len(item[1])):
        for (row, _), prediction in zip(chunk, predictor.predict([text for _, text in chunk]), strict=True):
            yield row, prediction


def write_rows(rows: Iterable[tuple[int, Prediction]], label_names: tuple[str, ...], out: IO[str], kind: Format) -> int:
    """Write predictions as CSV or as one JSON array, one by one; returns how many.

    Nothing is written before the first prediction is there: an error in the file's first rows leaves no output.
    """
    rows, count = iter(rows), 0
    rows = chain(list(islice(rows, 1)), rows)
    if kind == "csv":
        _write_csv_row(out, ["row", "text", "label", "score", *(f"probability_{name}" for name in label_names)])
        for row, prediction in rows:
            values = [repr(prediction.probabilities[name]) for name in label_names]
            _write_csv_row(out, [str(row), prediction.text, prediction.label, repr(prediction.score), *values])
            count += 1
        return count
    out.write("[")
    for row, prediction in rows:
        out.write((",\n " if count else "\n ") + json.dumps(as_json(row, prediction), ensure_ascii=False))
        count += 1
    out.write("\n]\n")
    return count


def as_json(row: int, prediction: Prediction) -> dict[str, Any]:
    """One prediction as JSON-ready data."""
    return {
        "row": row,
        "text": prediction.text,
        "label": prediction.label,
        "score": prediction.score,
        "probabilities": prediction.probabilities,
    }


def _write_csv_row(out: IO[str], values: list[str]) -> None:
    r"""One row, quoted where it must be: the csv module forgets that readers end a row at a lone '\r' too."""
    has_return = any("\r" in value for value in values)
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL)
    writer.writerow(values)


def _text(row: Row | BadRow, wanted: str | None, trained: str) -> tuple[int, str]:
    """The row's number and its text."""
    if isinstance(row, BadRow):
        raise UserError(row.reason, where=row.place, fix=row.fix or "Mend or remove the row.")
    columns = list(row.fields)
    column = wanted or next((name for name in (trained, "text") if name in columns), trained)
    if column not in row.fields:
        raise UserError(missing_column(column, columns), where=row.place, fix="Name the texts' column with --text.")
    value = row.fields[column]
    if not isinstance(value, str):
        raise UserError(f"the {column} is not a text but {value!r}", where=row.place)
    if not value.strip():
        raise UserError("the text is empty", where=row.place, fix="Mend or remove the row.")
    return row.row, value
