"""Predicting a file: rows stream through in chunks, so that memory does not grow with the file; order is kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal

from feathertune.data.example import BadRow
from feathertune.data.loading import missing_column
from feathertune.data.readers import Row, read_rows
from feathertune.errors import UserError
from feathertune.serving.predictor import Prediction, Predictor

Format = Literal["csv", "json"]
_CHUNK = 1024  # rows predicted at a time: enough to sort by length, few enough to forget


def predict_rows(predictor: Predictor, path: Path, text_column: str | None) -> Iterator[tuple[int, Prediction]]:
    """(row, prediction) for each row of a csv, tsv, jsonl, parquet or txt file, in the file's order.

    Args:
        text_column: the texts' column; by default the one the model was trained on, else `text`.

    Raises:
        UserError: the file cannot be read, a row is bad or its text empty (file:line is named), no such column.
    """
    data = predictor.data
    headerless = (text_column or data.text, data.label.rating) if data.label.rating is not None else None
    rows = read_rows(path, headerless)
    while chunk := list(islice(rows, _CHUNK)):
        texts = [_text(row, text_column, data.text) for row in chunk]
        for row, prediction in zip(chunk, predictor.predict(texts), strict=True):
            assert isinstance(row, Row)  # `_text` refused the others
            yield row.row, prediction


def write_rows(rows: Iterable[tuple[int, Prediction]], label_names: tuple[str, ...], out: IO[str], kind: Format) -> int:
    """Write predictions as CSV or as one JSON array, one by one; returns how many.

    Nothing is written before the first prediction is there: an error in the file's first rows leaves no output.
    """
    rows, count = iter(rows), 0
    rows = chain(list(islice(rows, 1)), rows)
    if kind == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["row", "text", "label", "score", *(f"probability_{name}" for name in label_names)])
        for row, prediction in rows:
            values = [repr(prediction.probabilities[name]) for name in label_names]
            writer.writerow([row, prediction.text, prediction.label, repr(prediction.score), *values])
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


def _text(row: Row | BadRow, wanted: str | None, trained: str) -> str:
    if isinstance(row, BadRow):
        raise UserError(row.reason, where=row.place, fix="Mend or remove the row.")
    columns = list(row.fields)
    column = wanted or next((name for name in (trained, "text") if name in columns), trained)
    if column not in row.fields:
        raise UserError(missing_column(column, columns), where=row.place, fix="Name the texts' column with --text.")
    value = row.fields[column]
    if not isinstance(value, str):
        raise UserError(f"the {column} is not a text but {value!r}", where=row.place)
    if not value.strip():
        raise UserError("the text is empty", where=row.place, fix="Mend or remove the row.")
    return value
