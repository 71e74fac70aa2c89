"""Whether the first row of a table of cells (a sheet, an array of arrays) names the columns."""

from __future__ import annotations

from collections.abc import Sequence

from feathertune.data.rows import is_number

_OF_TEXTS = "text content sentence sentence1 sentence2 query question review tweet message comment title body headline"
_OF_LABELS = "label labels class category target intent sentiment emotion tag topic rating score stars"
_OTHERS = "answer description document utterance id idx index date language split source name"
TEXT_NAMES = frozenset(_OF_TEXTS.split())
LABEL_NAMES = frozenset(_OF_LABELS.split())
USUAL_NAMES = TEXT_NAMES | LABEL_NAMES | frozenset(_OTHERS.split())


def first_row_names(rows: Sequence[Sequence[object]]) -> bool:
    """Whether the first of `rows` names the columns of the others. Empty cells are '' or None.

    It does where all its names are usual; not where a cell recurs below or is a number. Else it does where one name
    is usual, or where a column of numbers, or of much longer texts, lies under a cell that is neither.
    """
    first = [_written(cell) for cell in rows[0]] if rows else []
    filled = [cell for cell in first if cell]
    if not filled or any(is_number(cell) for cell in filled):
        return False
    usual = sum(cell.casefold().replace(" ", "_").split(".")[0] in USUAL_NAMES for cell in filled)
    if usual == len(filled):
        return True
    if len(set(filled)) < len(filled):
        return False
    below = [[_written(row[index]) for row in rows[1:] if index < len(row)] for index in range(len(first))]
    below = [[cell for cell in column if cell] for column in below]
    if not any(below):
        return usual > 0
    if any(cell and cell in column for cell, column in zip(first, below, strict=True)):
        return False
    if usual:
        return True
    return any(cell and column and _differs(cell, column) for cell, column in zip(first, below, strict=True))


def _differs(cell: str, column: list[str]) -> bool:
    """Whether a cell is of another kind than those below it: no number above numbers, or short above long texts."""
    if all(map(is_number, column)):
        return True
    return len(cell) <= 20 and len(cell) * 2 < min(map(len, column)) and len(cell.split()) <= 3


def _written(cell: object) -> str:
    return "" if cell is None else str(cell).strip()
