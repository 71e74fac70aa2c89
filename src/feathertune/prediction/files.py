"""Prediction files: one CSV row (RFC 4180) for each example, from which every metric can be computed again.

Columns: `row, text, label, predicted`, `rating` where there is one, and `probability_<label name>` for each class.
The probabilities are the softmax of the model's logits, divided by the temperature where one was fitted. Numbers are
written by `repr`, the shortest text that reads back as the same float64. Texts are written unchanged, with their
quotes, newlines and leading '='.
"""

from __future__ import annotations

import csv
import math
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feathertune.data.texts import StoredTexts, TextWriter
from feathertune.errors import UserError
from feathertune.prediction.decision import Decision
from feathertune.prediction.predictions import Predictions
from feathertune.stats.probabilities import BINARY_THRESHOLD, decide
from feathertune.system.files import atomic_path

PREFIX = "probability_"


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write `predictions` to `path` atomically. A rating that is NaN becomes an empty field."""
    names = predictions.label_names
    rated = ["rating"] if predictions.ratings is not None else []
    predicted_N = predictions.predicted
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "text", "label", "predicted", *rated, *(PREFIX + name for name in names)])
        for index, text in enumerate(predictions.texts):
            rating = [] if predictions.ratings is None else [_rating_text(float(predictions.ratings[index]))]
            label, predicted = names[predictions.labels[index]], names[predicted_N[index]]
            probabilities = map(repr, predictions.probabilities_NC[index].tolist())
            writer.writerow([int(predictions.rows[index]), text, label, predicted, *rating, *probabilities])


def read_predictions(path: Path, split: str, threshold: float | None = None) -> Predictions:
    """Read a file by `write_predictions`: the same classes, and the same probabilities to the last bit.

    The logits are the log-probabilities, since the file does not hold the model's own.

    Args:
        threshold: the decision threshold. None: 0.5, or else one that explains the column `predicted`.

    Raises:
        UserError: the file is missing or is no prediction file; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file, _long_fields():
            return _parse(csv.reader(file, strict=True), path, split, threshold)
    except FileNotFoundError:
        raise UserError("the file is missing", where=str(path)) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"not a CSV file in UTF-8: {error}", where=str(path)) from None


def _parse(reader: Iterator[list[str]], path: Path, split: str, threshold: float | None) -> Predictions:
    """The content of an open file."""
    header = next(reader, [])
    names = tuple(column.removeprefix(PREFIX) for column in header if column.startswith(PREFIX))
    rated = "rating" in header[4:5]
    expected = ["row", "text", "label", "predicted", *(["rating"] if rated else []), *(PREFIX + name for name in names)]
    if header != expected or len(names) < 2 or len(set(names)) < len(names):
        raise UserError(
            f"the columns are {', '.join(header) or 'missing'}",
            where=f"{path}:1",
            fix=f"A prediction file has row, text, label, predicted, perhaps rating, then {PREFIX}<label name> each.",
        )
    # Flat arrays and an Arrow text file, so that a million rows are never a million Python objects.
    rows, labels, predicted, lines = array("q"), array("q"), array("q"), array("q")
    texts, ratings, probabilities = TextWriter(), array("d"), array("d")
    for record in reader:
        lines.append(reader.line_num)  # type: ignore[attr-defined]  # of csv.reader, for the messages
        try:
            row, text, label, predicted_label, *numbers = record
            rows.append(int(row))
            labels.append(names.index(label))
            predicted.append(names.index(predicted_label))
            if rated:
                ratings.append(math.nan if numbers[0] == "" else float(numbers[0]))
            values = [float(number) for number in (numbers[1:] if rated else numbers)]
            _check_probabilities(values, len(names))
            probabilities.extend(values)
        except (ValueError, IndexError) as error:
            raise UserError(f"not a prediction: {error}", where=f"{path}:{lines[-1]}") from None
        texts.add(text)
    probabilities_NC = np.array(probabilities, dtype=np.float64).reshape(-1, len(names))
    predicted_N = np.array(predicted, dtype=np.int64)
    if threshold is None:
        threshold = _explaining_threshold(probabilities_NC, predicted_N)
    predictions = Predictions.from_probabilities(
        split=split,
        label_names=names,
        rows=np.array(rows, dtype=np.int64),
        texts=StoredTexts(texts.finish()),
        labels=np.array(labels, dtype=np.int64),
        ratings=np.array(ratings, dtype=np.float64) if rated else None,
        probabilities_NC=probabilities_NC,
        decision=Decision(threshold=threshold),
    )
    disagree_N = predictions.predicted != predicted_N
    if disagree_N.any():
        raise UserError(
            "the column `predicted` does not follow from the probabilities",
            where=f"{path}:{lines[int(disagree_N.argmax())]}",
            fix="The file was edited by hand; write it again with `feathertune evaluate`.",
        )
    return predictions


def _explaining_threshold(probabilities_NC: npt.NDArray[np.float64], predicted_N: npt.NDArray[np.int64]) -> float:
    """0.5 where it gives the predicted classes, or if it does not, the lowest probability of a predicted positive."""
    lowest = float(probabilities_NC[predicted_N == 1, 1].min(initial=1.0))
    for threshold in (BINARY_THRESHOLD, lowest):
        if np.array_equal(decide(probabilities_NC, threshold), predicted_N):
            return threshold
    return BINARY_THRESHOLD


def _check_probabilities(values: list[float], count: int) -> None:
    if len(values) != count:
        raise ValueError(f"{len(values)} probabilities for {count} classes")
    if not all(0 <= value <= 1 for value in values) or abs(math.fsum(values) - 1) > 1e-6:
        raise ValueError(f"{values} are not probabilities that sum to 1")


def _rating_text(rating: float) -> str:
    return "" if math.isnan(rating) else repr(rating)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv read fields of more than 131,072 characters: a text may be a book."""
    previous = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(previous)
