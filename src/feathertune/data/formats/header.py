"""Whether the first row of a table names its columns, by what is below it."""

from __future__ import annotations

from collections.abc import Sequence

from feathertune.data.rows import is_number

SAMPLED_ROWS = 1000
TEXT_NAMES = frozenset(
    {"text", "content", "sentence", "sentence1", "sentence2", "query", "question", "review", "tweet", "message"}
    | {"comment", "title", "body", "headline"}
)
LABEL_NAMES = frozenset(
    {"label", "labels", "class", "category", "target", "intent", "sentiment", "emotion", "tag", "topic"}
    | {"rating", "score", "stars"}
)
_OTHERS = frozenset(
    {"id", "index", "idx", "split", "description", "document", "utterance", "answer", "name", "date", "language"}
    | {"source", "v1", "v2", "a", "b"}
)
USUAL_NAMES = TEXT_NAMES | LABEL_NAMES | _OTHERS
_NAME_WORDS, _NAME_LENGTH = 4, 40  # the longest name of a column


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of the rows is a header. Where nothing tells, it is."""
    return header_evidence(rows) is not False


def header_evidence(rows: Sequence[Sequence[str]]) -> bool | None:
    """True if the first row names the columns, False if it is an example like the others, None if nothing tells.

    In this order: a cell that recurs below it in its column is a value; over numbers, a number is a value and a word is
    a name; a known name is a name; a sentence is a value, and short cells over sentences are names.
    """
    if not rows:
        return None
    first = [cell.strip() for cell in rows[0]]
    below = [row for row in rows[1:SAMPLED_ROWS] if len(row) == len(first) and list(row) != list(rows[0])]
    if not below or (len(first) > 1 and all(cell.casefold() in USUAL_NAMES for cell in first)):
        return True
    if any(first.count(cell) > 1 for cell in first if cell):
        return False
    columns = [[row[index].strip() for row in below] for index in range(len(first))]
    if any(cell and cell in column for cell, column in zip(first, columns, strict=True)):
        return False
    numeric = [
        index for index, column in enumerate(columns) if all(map(is_number, filter(None, column))) and any(column)
    ]
    if numeric:
        return not any(is_number(first[index]) for index in numeric)
    if any(cell.casefold() in USUAL_NAMES for cell in first):
        return True
    if any(_is_sentence(cell) for cell in first):
        return False
    longer = any(_is_sentence(cell) for column in columns for cell in column)
    return True if longer and all(map(_is_name, first)) else None


def _holds_numbers(column: Sequence[str]) -> bool:
    return any(column) and all(is_number(cell) for cell in column if cell)


def _is_sentence(cell: str) -> bool:
    return len(cell.split()) > _NAME_WORDS or len(cell) > _NAME_LENGTH


def _is_name(cell: str) -> bool:
    return len(cell.split()) <= _NAME_WORDS and len(cell) <= _NAME_LENGTH


def first_row_names(rows: Sequence[Sequence[object]]) -> bool:
    """`has_header` for rows of cells of any type, of which empty ones are '' or None."""
    return has_header([["" if cell is None else str(cell) for cell in row] for row in rows])
