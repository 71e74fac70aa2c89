"""A row as a reader yields it: its fields, or why it cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass

from feathertune.errors import nearest

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `place` is `file:line` for messages, `row` the 1-based line (or row), `fields` column -> value."""

    place: str
    row: int
    fields: dict[str, object]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: where it is, the reason, and a fix if the whole file must be saved again."""

    place: str
    reason: str
    fix: str | None = None


class Votes(tuple[str | None, ...]):
    """The labels that several annotators gave one text, newest first where the tool knows; None: gave no label.

    Without any, the text has no label: training leaves it out, without calling it a bad row.
    """

    __slots__ = ()


def is_number(text: str) -> bool:
    """Whether `text` is a plain decimal number in ASCII, without white space, underscores, nan or infinity."""
    return _NUMBER.fullmatch(text) is not None


def missing_column(column: str, columns: list[str]) -> str:
    """A message that names the missing column and the existing ones."""
    near = nearest(column, columns)
    listed = ", ".join(repr(name[:60]) for name in columns[:50])
    return f"there is no column {column!r}{f'; did you mean {near!r}?' if near else ''} (the columns are {listed})"
