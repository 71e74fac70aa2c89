"""Predicting a file: its rows are read in chunks and kept in order, so memory use does not grow with the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal

from feathertune.data.chunks import in_chunks
from feathertune.data.columns import text_columns
from feathertune.data.formats.opening import read_rows
from feathertune.data.rows import BadRow, Row, missing_column
from feathertune.errors import TextError, UserError
from feathertune.serving.predictor import Prediction, Predictor

Format = Literal["csv", "json"]
CHUNK_ROWS = 1024  # rows predicted at a time: enough to sort by length, few enough to keep in memory
CHUNK_CHARACTERS = 2**20  # limit of a chunk in characters


def predict_rows(predictor: Predictor, path: Path, text_column: str | None) -> Iterator[tuple[int, Prediction]]:
    """(row, prediction) for each row of a csv, tsv, jsonl, parquet or txt file, in the file's order.

    Args:
        predictor: the model.
        path: the file.
        text_column: the column of texts; by default the one that the model was trained on, or else `text`.

    Raises:
        UserError: the file cannot be read, has no such column, or has a bad row or an empty text; or a text cannot
            be predicted, as in `Predictor.predict` (file:line is named).
    """
    data = predictor.data
    trained = text_columns(data)[0]
    headerless = (text_column or trained, data.label.rating) if data.label.rating is not None else None
    texts = (_text(row, text_column, trained) for row in read_rows(path, headerless))
    for chunk in in_chunks(texts, CHUNK_ROWS, CHUNK_CHARACTERS, lambda item: len(item[1])):
        try:
            predictions = predictor.predict([text for _, text, _ in chunk])
        except TextError as error:
            raise error.at(chunk[error.index][2]) from None
        for (row, _, _), prediction in zip(chunk, predictions, strict=True):
            yield row, prediction


def write_rows(rows: Iterable[tuple[int, Prediction]], label_names: tuple[str, ...], out: IO[str], kind: Format) -> int:
    """Write predictions one by one, as CSV or as one JSON array. Returns their number.

    Nothing is written before the first prediction: an error in the first rows of a file leaves no output.
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
    """One prediction, JSON-ready."""
    return {
        "row": row,
        "text": prediction.text,
        "label": prediction.label,
        "score": prediction.score,
        "probabilities": prediction.probabilities,
    }


def _write_csv_row(out: IO[str], values: list[str]) -> None:
    r"""Write one row. The csv module does not quote a lone '\r', although readers end a row there."""
    has_return = any("\r" in value for value in values)
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL)
    writer.writerow(values)


def _text(row: Row | BadRow, text_column: str | None, trained_column: str) -> tuple[int, str, str]:
    """The row's number, its text, and its place."""
    if isinstance(row, BadRow):
        raise UserError(row.reason, where=row.place, fix=row.fix or "Fix or remove the row.")
    columns = list(row.fields)
    column = text_column or next((name for name in (trained_column, "text") if name in columns), trained_column)
    if column not in row.fields:
        raise UserError(
            missing_column(column, columns), where=row.place, fix="Name the column of texts with --text-column."
        )
    value = row.fields[column]
    if not isinstance(value, str):
        raise UserError(f"the {column} is not a text but {value!r}", where=row.place)
    if not value.strip():
        raise UserError("the text is empty", where=row.place, fix="Fix or remove the row.")
    return row.row, value, row.place
