"""What all label tools have in common: rows of records become rows of a text and a label, and what is left out counts.

A tool's records are rows as a reader of json, jsonl, csv ... yields them; its rows keep their places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row, Votes
from feathertune.wording.numbers import count

Records = Iterator[Row | BadRow]
Record = dict[str, object]


class Tool(ABC):
    """The export of a label tool, recognised by the first records of a file.

    Attributes:
        name: of the tool, such as 'Label Studio'.
        roles: the columns of text and label in the rows that `rows` yields.
    """

    name: str

    def __init__(self, roles: Roles) -> None:
        self.roles = roles
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._said: dict[str, None] = {}

    def rows(self, records: Records) -> Iterator[Row | BadRow]:
        """The rows of a text and a label in a file's records. Can be called repeatedly; bad rows pass through."""
        self._left_out.clear()
        self._said.clear()
        yield from self._rows(records)

    def notes(self) -> tuple[str, ...]:
        """What the latest `rows` left out, and how it took what may be taken in two ways; one sentence each."""
        counted = (f"{self.name}: {count(number, noun)} {what}" for (noun, what), number in self._left_out.items())
        return (*counted, *(f"{self.name}: {sentence}" for sentence in self._said))

    @abstractmethod
    def _rows(self, records: Records) -> Iterator[Row | BadRow]: ...

    def _leave_out(self, noun: str, why: str, number: int = 1) -> None:
        """Count what is left out: `noun` is one ('annotation'), `why` the reason."""
        if number:
            self._left_out[noun, f"left out ({why})"] += number

    def _unlabelled(self, noun: str, why: str) -> None:
        """Count a text without a label, whose row has no `Votes`: training leaves it out, prediction does not."""
        self._left_out[noun, f"without a label ({why})"] += 1

    def _say(self, sentence: str) -> None:
        self._said[sentence] = None


@dataclass(frozen=True)
class Document:
    """A file that is one JSON object, such as a chatbot's intents: split name -> the tool's rows.

    Attributes:
        name: of the tool.
        roles: the columns of text and label.
        splits: name -> rows; `train` alone but for CLINC150. They are numbered from 1, and placed `file:number`.
        notes: one sentence each.
    """

    name: str
    roles: Roles
    splits: dict[str, list[Row | BadRow]]
    notes: tuple[str, ...] = ()


def label_of(answers: Sequence[Sequence[str]]) -> str | list[str] | Votes:
    """What several annotators, newest first, each with the labels they gave, make the value of a row's label.

    One label of one annotator is that label, and one label of each of several are `Votes`. Where an annotator gave
    several, texts have several labels each, and the newest annotation counts. No `Votes` where nobody gave a label.
    """
    given = [labels for labels in answers if labels]
    if not given:
        return Votes()
    if any(len(labels) > 1 for labels in given):
        return list(given[0])
    return given[0][0] if len(given) == 1 else Votes(labels[0] for labels in given)


def is_unlabelled(label: object) -> bool:
    """Whether nobody gave a label, as `label_of` writes it."""
    return isinstance(label, Votes) and not label


def scalars(values: Record) -> Record:
    """The values that can be a column of a table: text, numbers, true and false."""
    return {name: value for name, value in values.items() if value is None or isinstance(value, str | int | float)}


def text_key(records: Sequence[Record], preferred: Sequence[str] = ()) -> str | None:
    """The key of the text among records: the first of `preferred` that has texts, else the key of the longest texts."""
    lengths: Counter[str] = Counter()
    for record in records:
        for name, value in record.items():
            if isinstance(value, str):
                lengths[name] += len(value)
    return next(
        (name for name in preferred if name in lengths), max(lengths, key=lambda name: lengths[name], default=None)
    )


def strings(value: object) -> list[str]:
    """The texts in a list, numbers and booleans as JSON writes them; [] for anything else."""
    if not isinstance(value, list | tuple):
        return []
    return [written(one) for one in value if isinstance(one, str | int | float) and one != ""]


def written(value: str | int | float) -> str:
    """A label as text: true and false as in JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)
