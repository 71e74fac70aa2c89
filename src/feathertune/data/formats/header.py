"""Whether the first row of a table names its columns, by what is below it."""

from __future__ import annotations

import re
from collections import Counter
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
# Names that are no texts or labels themselves.
_SURE = frozenset({"text", "texts", "sentence", "sentences", "content", "tweet", "tweet_text", "review_text"})
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
_LINK = re.compile(r"\w+://\S+|www\.\S+|\S+@\S+\.\w+")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_ENOUGH = 8  # rows below the first one, to show what a column is
_NAME_WORDS, _NAME_LENGTH = 4, 40  # the longest name of a column


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of the rows is a header. Where nothing tells, it is."""
    return header_evidence(rows) is not False


def header_evidence(rows: Sequence[Sequence[str]]) -> bool | None:
    """True if the first row names the columns, False if it is an example like the others, None if that is unclear.

    Signs of a value: it recurs below in its column; a number (date, link) over numbers; weaker, a sentence. Signs of a
    name: it is a usual one; a word over numbers (dates, links); a word that a column of few labels does not have;
    weaker, a short cell over sentences. Where strong signs contradict each other, only the most usual names decide.
    """
    if not rows:
        return None
    first = [cell.strip() for cell in rows[0]]
    usual = list(map(_is_usual, first))
    if all(usual) and len(first) > 1:
        return True
    below = [row for row in rows[1:SAMPLED_ROWS] if len(row) == len(first) and list(row) != list(rows[0])]
    if not below:
        return _alone(first, usual, repeated=any(list(row) == list(rows[0]) for row in rows[1:]))
    columns = [[value for row in below if (value := row[index].strip())] for index in range(len(first))]
    signs = [_sign(cell, column) for cell, column in zip(first, columns, strict=True)]
    doubled = any(first.count(cell) > 1 for cell, known in zip(first, usual, strict=True) if cell and not known)
    values = signs.count(False) + doubled
    # Where `class_1` is above `class_7`, both are values.
    alone = [known and not any(map(_is_usual, column)) for known, column in zip(usual, columns, strict=True)]
    names = sum(sign is True or (known and sign is None) for sign, known in zip(signs, alone, strict=True))
    if any(
        cell.casefold() in _SURE and sign is not False and _is_sentences(column)
        for cell, sign, column in zip(first, signs, columns, strict=True)
    ):
        return True
    if values:
        return None if names else False
    if any(_is_sentence(cell) for cell in first):
        return False if not names else True if names > 1 else None
    enough = len(below) >= _ENOUGH
    above = all(map(_is_name, first)) and any(map(_is_above_sentences, first, columns))
    return True if names or (enough and above) else None


def _is_usual(cell: str) -> bool:
    """Whether a cell is a usual name, or has one as a part: `comment_text`, `reviewText`."""
    if cell.casefold() in USUAL_NAMES:
        return True
    words = _PART.findall(cell) if cell.isidentifier() else []
    return len(words) > 1 and any(word.casefold() in TEXT_NAMES | LABEL_NAMES for word in words)


def _alone(first: Sequence[str], usual: Sequence[bool], *, repeated: bool) -> bool | None:
    """What a first row is that has no others below it, or only copies of itself."""
    if repeated or any(_is_sentence(cell) or is_number(cell) for cell in first):
        return False
    return True if any(usual) else None


def _sign(cell: str, column: Sequence[str]) -> bool | None:
    """False if a cell is a value of the column below it, True if it is none; None if the column does not show it."""
    if not cell or not column:
        return None
    if cell in column:
        return False
    for is_typed in (_is_numeric, is_date, is_link):
        if all(map(is_typed, column)):
            return None if _is_sentence(cell) else not is_typed(cell)
    counts = Counter(column)
    labels = len(column) >= _ENOUGH and len(counts) <= max(2, len(column) // 5) and min(counts.values()) > 1
    return True if labels else None


def _is_sentences(column: Sequence[str]) -> bool:
    return any(map(_is_sentence, column))


def _is_numeric(cell: str) -> bool:
    """Whether a cell is a number, also with a decimal comma."""
    return is_number(cell.replace(",", ".", 1))


def is_date(cell: str) -> bool:
    """Whether a cell is a date: 2024-01-31, 31.1.2024, also with a time."""
    return _DATE.fullmatch(cell) is not None


def is_link(cell: str) -> bool:
    """Whether a cell is an address of the web or of mail."""
    return _LINK.fullmatch(cell) is not None


def _is_sentence(cell: str) -> bool:
    return len(cell.split()) > _NAME_WORDS or len(cell) > _NAME_LENGTH


def _is_name(cell: str) -> bool:
    """Whether a cell may be a name: one word. Two may be a short text (`Great movie`)."""
    return len(cell.split()) == 1 and len(cell) <= _NAME_LENGTH and not cell.endswith(("!", "?", "."))


def _is_above_sentences(cell: str, column: Sequence[str]) -> bool:
    """Whether a cell is above sentences, of which none is as short."""
    return _is_sentences(column) and all(len(value.split()) > len(cell.split()) for value in column)


def first_row_names(rows: Sequence[Sequence[object]]) -> bool:
    """`has_header` for rows of cells of any type, of which empty ones are '' or None."""
    return has_header([["" if cell is None else str(cell) for cell in row] for row in rows])
