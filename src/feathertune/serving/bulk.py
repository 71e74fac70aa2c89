"""Predicting a file: its rows are read in chunks and kept in order, so memory use does not grow with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Literal

from feathertune.data.chunks import in_chunks
from feathertune.data.formats.format import FileSettings
from feathertune.errors import TextError, UserError
from feathertune.serving.inputs import Example, Input, Problem, open_input
from feathertune.serving.outputs import Answer, Columns, TextFormat, write_answers
from feathertune.serving.predictor import Prediction, Predictor
from feathertune.wording.numbers import count

CHUNK_ROWS = 1024  # rows predicted at a time: enough to sort by length, few enough to keep in memory
CHUNK_CHARACTERS = 2**20  # limit of a chunk in characters
SKIP = "give an empty answer for it: --on-bad-row skip"
_LOOKED_AT = 1000  # rows after a bad one that tell whether only few are bad
_FEW = 0.1
_NAMED = 3  # bad rows that are named


@dataclass
class Tally:
    """What became of the rows: how many were predicted, how many of them were cut, and the bad ones."""

    predicted: int = 0
    cut: int = 0
    bad: int = 0
    first_bad: list[str] = field(default_factory=list)

    def notes(self, max_length: int | None) -> list[str]:
        """What the user should know at the end; `max_length` is the model's, in tokens."""
        lines = []
        if self.cut:
            were = "was" if self.cut == 1 else "were"
            lines.append(f"{count(self.cut, 'text')} {were} cut at {max_length} tokens; the rest was not read")
        if self.bad:
            have = "has" if self.bad == 1 else "have"
            more = self.bad - len(self.first_bad)
            places = "; ".join(self.first_bad) + (f"; and {more:,} more" if more else "")
            lines.append(f"{count(self.bad, 'bad row')} {have} an empty answer: {places}")
        return lines


def predict_rows(predictor: Predictor, path: Path, text_column: str | None) -> Iterator[tuple[int, Prediction]]:
    """(row, prediction) for each row of a file of any kind that training reads, in the file's order.

    Args:
        predictor: the model.
        path: the file.
        text_column: the column of texts; by default the one that the model was trained on, else `text`, else the only
            one that looks like it.

    Raises:
        UserError: the file cannot be read, has no such column, or has a bad row or an empty text; or a text cannot
            be predicted, as in `Predictor.predict` (file:line is named).
    """
    opened = open_input(path, FileSettings(), text_column, predictor.data)
    for answer in answers(predictor, opened, Tally()):
        assert answer.prediction is not None
        yield answer.row, answer.prediction


def answers(
    predictor: Predictor,
    source: Input,
    tally: Tally,
    *,
    skip: bool = False,
    after_chunk: Callable[[], object] = lambda: None,
) -> Iterator[Answer]:
    """The answer to each row of an input, in its order.

    Args:
        predictor: the model.
        source: the input.
        tally: is kept while answers are taken.
        skip: whether a row that cannot be predicted has an empty answer; otherwise it is an error.
        after_chunk: is called whenever all answers that could be given have been taken.

    Raises:
        UserError: the input cannot be read; without `skip`, for a row that cannot be predicted; with it, if none can.
    """
    examples = source.read()
    checked = examples if skip else _refusing(examples, source)
    ends = source.waits or (lambda: False)
    for chunk in in_chunks(checked, CHUNK_ROWS, CHUNK_CHARACTERS, lambda one: len(one.text or ""), ends):
        for example, prediction in _predicted(predictor, chunk, skip=skip):
            _count(tally, example, prediction)
            yield Answer(example.row, example.text, prediction, example.fields)
        after_chunk()
    if tally.bad and not tally.predicted:
        kind = f" ({source.kind})" if source.kind else ""
        raise UserError(
            f"none of the {count(tally.bad, 'row')} can be predicted{kind}; the first: {tally.first_bad[0]}",
            where=source.place,
            fix="Check how the input is read (--read KEY=VALUE), and which column is the text (--text-column).",
        )


def answers_to_texts(predictor: Predictor, texts: Sequence[str], tally: Tally) -> Iterator[Answer]:
    """The answers to texts, numbered from 1. Raises UserError as `Predictor.predict` does."""
    for row, prediction in enumerate(predictor.predict(texts), start=1):
        tally.predicted += 1
        tally.cut += prediction.truncated
        yield Answer(row, prediction.text, prediction, {})


def write_rows(
    rows: Iterable[tuple[int, Prediction]], label_names: tuple[str, ...], out: IO[str], kind: Literal["csv", "json"]
) -> int:
    """Write predictions one by one, as CSV or as one JSON array. Returns their number.

    Nothing is written before the first prediction: an error in the first rows of a file leaves no output.
    """
    format_: TextFormat = kind
    given = (Answer(row, prediction.text, prediction, {}) for row, prediction in rows)
    return write_answers(given, Columns.of(label_names, (), format_), out, format_)


def _predicted(
    predictor: Predictor, chunk: list[Example], *, skip: bool
) -> Sequence[tuple[Example, Prediction | None]]:
    """The examples of a chunk with their predictions; with `skip`, None for a text that has none."""
    problems: dict[int, Problem] = {}
    while True:
        places = [index for index, one in enumerate(chunk) if one.problem is None and index not in problems]
        try:
            predictions = predictor.predict([chunk[index].text or "" for index in places])
        except TextError as error:
            index = places[error.index]
            if error.of_model or not skip:
                raise _proposing_skip(error.at(chunk[index].place)) from None
            problems[index] = Problem(error.what)
            continue
        if len(predictions) == len(chunk):
            return list(zip(chunk, predictions, strict=True))
        by_index = dict(zip(places, predictions, strict=True))
        return [
            (one if index not in problems else one._replace(problem=problems[index]), by_index.get(index))
            for index, one in enumerate(chunk)
        ]


def _proposing_skip(error: TextError) -> UserError:
    if error.of_model:
        return error
    return UserError(error.what, where=error.where, fix=_or_skip(error.fix))


def _or_skip(fix: str | None) -> str:
    """A fix, which may itself say how to skip, or none; and that the row may have an empty answer."""
    if fix is None:
        return f"{SKIP[0].upper()}{SKIP[1:]}"
    return fix if "--on-bad-row skip" in fix else f"{fix}\n  Or {SKIP}"


def _count(tally: Tally, example: Example, prediction: Prediction | None) -> None:
    if prediction is not None:
        tally.predicted += 1
        tally.cut += prediction.truncated
        return
    tally.bad += 1
    if len(tally.first_bad) < _NAMED and example.problem is not None:
        tally.first_bad.append(f"{example.place} ({example.problem.reason})")


def _refusing(examples: Iterator[Example], source: Input) -> Iterator[Example]:
    """The examples up to the first that cannot be predicted, which is an error."""
    for good, example in enumerate(examples):
        if example.problem is not None:
            raise _refusal(example, example.problem, good, examples, source)
        yield example


def _refusal(example: Example, problem: Problem, good: int, rest: Iterator[Example], source: Input) -> UserError:
    """The error for a bad row. To leave it out is proposed only where few are bad; where most are, the kind is named.

    Rows of a stream are not waited for: there, those before it must do.
    """
    following = [] if source.waits is not None else list(_up_to_an_error(islice(rest, _LOOKED_AT)))
    bad = 1 + sum(one.problem is not None for one in following)
    looked_at = good + 1 + len(following)
    fix = problem.fix
    what = problem.reason
    if bad <= max(1, _FEW * looked_at) and good + len(following) > 0:
        fix = _or_skip(fix)
    elif bad * 2 > looked_at and bad > 1:
        kind = f", which is {source.kind}," if source.kind else ""
        what += f"; so it is with {bad:,} of the first {looked_at:,} rows"
        fix = f"Check how the input{kind} is read (--read KEY=VALUE), and which column is the text (--text-column)."
    return UserError(what, where=example.place, fix=fix)


def _up_to_an_error(examples: Iterator[Example]) -> Iterator[Example]:
    try:
        yield from examples
    except UserError:
        return
