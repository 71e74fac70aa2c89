"""Writing predictions: csv, jsonl, json and parquet, with the other columns of the input.

The columns of every output are `row`, `text`, `label`, `score` and a `probability_NAME` for each class (in JSON an
object `probabilities`), whatever the input holds; the input's other columns follow, in its order. Where one of them has
a name that is taken, it is `input_NAME`.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, Any, Literal, NamedTuple

from feathertune.serving.predictor import Prediction

TextFormat = Literal["csv", "jsonl", "json"]
OutputFormat = Literal["csv", "jsonl", "json", "parquet"]
PREFIX = "input_"


class Answer(NamedTuple):
    """One row of the output.

    Attributes:
        row: the number of its row in the input.
        text: as far as it is known.
        prediction: None where the row is bad.
        fields: the input's other columns.
    """

    row: int
    text: str | None
    prediction: Prediction | None
    fields: dict[str, object]


@dataclass
class Columns:
    """The columns of an output.

    Attributes:
        label_names: class index -> name.
        own: the names that do not depend on the input.
        kept: the input's columns that are written; None: those of each row, as only JSON can.
        names: the input's column -> its name in the output.
        left_out: columns that first occurred after a csv file's header was written.
    """

    label_names: tuple[str, ...]
    own: tuple[str, ...]
    kept: tuple[str, ...] | None
    names: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, label_names: tuple[str, ...], kept: tuple[str, ...] | None, kind: str) -> Columns:
        """The columns of an output of this format."""
        own = own_columns(label_names, kind)
        columns = cls(label_names, own, kept)
        for name in kept or ():
            columns.name(name, kept or ())
        return columns

    def name(self, column: str, others: Iterable[str]) -> str:
        """The name in the output of a column of the input, which has `others` as well."""
        known = self.names.get(column)
        if known is None:
            known = column
            taken = {*self.own, *self.names.values(), *(other for other in others if other != column)}
            while known in taken:
                known = PREFIX + known
            self.names[column] = known
        return known

    def notes(self) -> list[str]:
        """What became of the input's columns, once all rows are written, one sentence each."""
        notes = [
            f"the input's column {column!r} is {name!r} in the output, since {column!r} is the prediction's"
            for column, name in self.names.items()
            if name != column
        ]
        if self.left_out:
            listed = ", ".join(map(repr, self.left_out))
            notes.append(f"columns that the first row has not are left out: {listed} (--format jsonl keeps them)")
        return notes


def own_columns(label_names: Sequence[str], kind: str) -> tuple[str, ...]:
    """The columns that every output of this format has."""
    of_classes = [f"probability_{name}" for name in label_names] if kind in ("csv", "parquet") else ["probabilities"]
    return ("row", "text", "label", "score", *of_classes)


def write_answers(answers: Iterable[Answer], columns: Columns, out: IO[str], kind: TextFormat) -> int:
    """Write answers one by one. Returns their number.

    Nothing is written before the first answer: an error in the first rows of a file leaves no output.
    """
    answers = iter(answers)
    first = list(islice(answers, 1))
    answers = chain(first, answers)
    if kind == "csv":
        return _write_csv(answers, columns, out, first)
    count = 0
    if kind == "jsonl":
        for answer in answers:
            out.write(dumped(as_json(answer, columns)) + "\n")
            count += 1
        return count
    out.write("[")
    for answer in answers:
        out.write((",\n " if count else "\n ") + dumped(as_json(answer, columns)))
        count += 1
    out.write("\n]\n")
    return count


def as_json(answer: Answer, columns: Columns) -> dict[str, Any]:
    """One answer, JSON-ready but for values that are no JSON (see `dumped`)."""
    prediction = answer.prediction
    written: dict[str, Any] = {
        "row": answer.row,
        "text": answer.text,
        "label": None if prediction is None else prediction.label,
        "score": None if prediction is None else prediction.score,
        "probabilities": None if prediction is None else prediction.probabilities,
    }
    kept = answer.fields if columns.kept is None else columns.kept
    for name in kept:
        written[columns.name(name, kept)] = answer.fields.get(name)
    return written


def _write_csv(answers: Iterator[Answer], columns: Columns, out: IO[str], first: list[Answer]) -> int:
    streamed = columns.kept is None
    if columns.kept is None:  # a stream of JSON lines: the columns are those of its first row
        columns.kept = tuple(first[0].fields) if first else ()
    kept = columns.kept
    _write_csv_row(out, [*columns.own, *(columns.name(name, kept) for name in kept)])
    empty = [""] * (2 + len(columns.label_names))
    count = 0
    for answer in answers:
        values = [str(answer.row), answer.text or ""]
        prediction = answer.prediction
        if prediction is None:
            values += empty
        else:
            values += [prediction.label, repr(prediction.score)]
            values += [repr(prediction.probabilities[name]) for name in columns.label_names]
        fields = answer.fields
        if fields:
            values += [value if type(value) is str else cell(value) for value in map(fields.get, kept)]
            if streamed:
                columns.left_out |= {name: None for name in fields if name not in kept}
        else:
            values += [""] * len(kept)
        _write_csv_row(out, values)
        count += 1
    return count


def cell(value: object) -> str:
    """A value as it stands in a csv file; true, false and lists as in JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return dumped(value) if isinstance(value, bool | list | tuple | dict) else str(value)


def _write_csv_row(out: IO[str], values: list[str]) -> None:
    r"""Write one row. The csv module does not quote a lone '\r', although readers end a row there."""
    has_return = any("\r" in value for value in values)
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL)
    writer.writerow(values)


def dumped(value: object) -> str:
    """A value as strict JSON, on one line."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:  # NaN or infinity, which JSON has not
        return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return {name: _finite(one) for name, one in value.items()} if isinstance(value, dict) else value
