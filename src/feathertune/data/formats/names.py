"""The names of a table's columns: from its header, from the user, or 'column 1', 'column 2' ..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from feathertune.data.formats.header import USUAL_NAMES
from feathertune.errors import UserError
from feathertune.recipe.parsing import typed_list

_RENAME = "Give each column its own name."

_FEW = 0.1  # share of rows that have something in a last column without a name: a text's separator is not quoted
_MOST = 0.8  # share of rows with as many fields as most of them


@dataclass(frozen=True)
class Columns:
    """The columns of a file.

    Attributes:
        all: the names of all of them.
        kept: the names of those that are read.
        header: whether the file has a row of names.
        notes: which were left out, and why.
        indices: of those that are read.
        empty: indices of those without a name that are to be empty.
    """

    all: tuple[str, ...]
    kept: tuple[str, ...]
    header: bool
    notes: tuple[str, ...]
    indices: tuple[int, ...]
    empty: tuple[int, ...] = ()

    def overflows(self, values: Sequence[str]) -> bool:
        """Whether a row has something in a column that is to be empty."""
        return len(values) == self.count and any(values[index].strip() for index in self.empty)

    @property
    def count(self) -> int:
        """Fields in a row of the file."""
        return len(self.all)

    @property
    def all_kept(self) -> bool:
        """Whether no column is left out."""
        return len(self.all) == len(self.kept)

    @property
    def pick(self) -> Callable[[list[str]], Sequence[str]]:
        """Row -> the fields that are read."""
        if len(self.indices) == 1:
            return lambda values: (values[self.indices[0]],)
        return itemgetter(*self.indices)

    def renamed(self, names: tuple[str, ...]) -> Columns:
        """The same columns of a file without a header, under other names."""
        if len(names) != len(self.kept) or self.header:
            return self
        return replace(self, all=names if self.all_kept else self.all, kept=names)


def name_columns(
    path: Path, line: int, rows: Sequence[Sequence[str]], *, header: bool, names: tuple[str, ...] | None
) -> Columns:
    """Name the columns of a table, whose first rows (with the header, if there is one) are `rows`.

    Columns without a name that are empty, or only count the rows, are left out.

    Args:
        path: for messages.
        line: of the first row.
        rows: at least one.
        header: whether the first row is the names.
        names: by the user, in place of those of a header.

    Raises:
        UserError: two columns have the same name; no column has one; the user's names are too few or too many.
    """
    if not header:
        return _without_header(path, rows, names)
    found = [cell.strip() for cell in rows[0]]
    commented = found[0].removeprefix("#").strip()
    if commented.casefold() in USUAL_NAMES:  # `#text<tab>label`: a header that other programs skip
        found[0] = commented
    if names is not None:
        if len(names) != len(found):
            raise _other_count(path, names, len(found))
        return Columns(names, names, True, (), tuple(range(len(names))))
    place = f"{path}:{line}"
    checked_columns([name for name in found if name], place, _own_names(found) if all(found) else _RENAME)
    body = [row for row in rows[1:] if len(row) == len(found)]
    left_out: list[str] = []
    kept: list[int] = []
    empty: list[int] = []
    for index, name in enumerate(found):
        values = [row[index].strip() for row in body]
        counts = not kept and is_row_count(values)
        filled = sum(map(bool, values))
        if not name and (not filled or (not any(found[index:]) and filled < _FEW * len(values))):
            left_out.append(f"column {index + 1}, which has no name and is empty")
            empty.append(index)
        elif (not name or name.startswith("Unnamed: ")) and counts:
            left_out.append(f"column {index + 1}, which has no name and counts the rows")
        else:
            kept.append(index)
    all_names = tuple(name or f"column {index + 1}" for index, name in enumerate(found))
    notes = (f"left out: {'; '.join(left_out)}",) if left_out else ()
    if any(cell and cell != cell.strip() for cell in rows[0]):
        notes = (*notes, "spaces around the names of columns are not part of them")
    return Columns(all_names, tuple(all_names[index] for index in kept), True, notes, tuple(kept), tuple(empty))


def checked_columns(columns: Sequence[str], place: str, fix: str = _RENAME) -> tuple[str, ...]:
    """The names of the columns. Raises a UserError if there are none, or if one occurs twice."""
    if not any(columns):
        raise UserError("there is no header", where=place, fix="Name the columns in the first line.")
    for column in columns:
        if columns.count(column) > 1:
            raise UserError(f"two columns are named {column!r}", where=place, fix=fix)
    return tuple(columns)


def _own_names(columns: Sequence[str]) -> str:
    """How columns of one name get names of their own: the second `label` is `label 2`."""
    own: list[str] = []
    for column in columns:
        number, name = 1, column
        while name in own or (number > 1 and name in columns):
            number += 1
            name = f"{column} {number}"
        own.append(name)
    return f"Give each column its own name: {typed_list('data.columns', own)} data.header=true"


def is_row_count(values: Sequence[str]) -> bool:
    """Whether the values number the rows: whole numbers, each once, in any order, as in a part of a table."""
    whole = len(values) > 1 and all(value.isascii() and value.isdigit() for value in values)
    return whole and len(set(values)) == len(values)


def with_whole_header(rows: list[list[str]]) -> list[list[str]]:
    """The rows with a first one that is as long as the others, where its missing names are those of no real column.

    Separators may follow all rows but the header; and R writes no name for the numbers of the rows.
    """
    if len(rows) < 3:
        return rows
    first, width = rows[0], Counter(map(len, rows[1:])).most_common(1)[0][0]
    below = [row for row in rows[1:] if len(row) == width]
    if len(first) >= width or len(below) < _MOST * (len(rows) - 1):
        return rows
    if not any(cell.strip() for row in below for cell in row[len(first) :]):
        return [[*first, *[""] * (width - len(first))], *rows[1:]]
    if len(first) == width - 1 and is_row_count([row[0] for row in below]):
        return [["", *first], *rows[1:]]
    return rows


def _without_header(path: Path, rows: Sequence[Sequence[str]], names: tuple[str, ...] | None) -> Columns:
    count = len(rows[0])
    if names is not None and len(names) != count:
        raise _other_count(path, names, count)
    given = names or tuple(f"column {index + 1}" for index in range(count))
    return Columns(given, given, False, (), tuple(range(count)))


def _other_count(path: Path, names: Sequence[str], count: int) -> UserError:
    return UserError(
        f"data.columns has {len(names)} names, and the rows have {count} fields",
        where=str(path),
        fix="Give as many names as there are fields.",
    )
