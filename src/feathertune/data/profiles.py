"""What a column looks like, from its first values: a text, a label, a number, an id, or nothing of use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from feathertune.data.rows import is_number

_LINK = re.compile(r"\w+://\S+|www\.\S+|\S+@\S+\.\w+")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\w{3},? .*\b(19|20)\d\d\b.*")
_IDENTIFIER = re.compile(r"[0-9a-f]{16,}|[0-9a-f-]{32,}|[\w-]*\d[\w-]*", re.IGNORECASE | re.ASCII)
# Columns that have few values, too, but are hardly ever what is to be predicted.
_OTHERS = re.compile(
    r"^(unnamed: ?\d+|index|idx|id|split|set|fold|lang(uage)?|source|url|link|author|user(name)?|date|time(stamp)?)$"
    r"|^(year|country|location|keyword|annotator|worker|version|subset)$"
    r"|_?id$|(^|[ _])(date|url|likes|count|length|len)($|[ _])",
    re.IGNORECASE,
)
MAX_LABEL_LENGTH = 60  # characters
MAX_LABEL_SHARE = 0.5  # of different values among the rows; labels recur


@dataclass(frozen=True)
class Column:
    """A column's name and its first values, in order."""

    name: str
    values: Sequence[object]

    @cached_property
    def present(self) -> list[object]:
        """The values that are there: neither null nor an empty text nor an empty list."""
        return [value for value in self.values if value not in (None, "", [])]

    @cached_property
    def strings(self) -> list[str]:
        """The values that are texts but not numbers."""
        return [value for value in self.present if isinstance(value, str) and not is_number(value.strip())]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value occurs, as it would be written."""
        return Counter(str(value) for value in self.present)

    @cached_property
    def mean_length(self) -> float:
        """Characters of its texts."""
        return sum(map(len, self.strings)) / max(len(self.strings), 1)

    @property
    def holds_texts(self) -> bool:
        """Whether nearly all values are texts that are no numbers."""
        return len(self.strings) > 0.9 * len(self.present) > 0

    @property
    def holds_numbers(self) -> bool:
        """Whether all values are numbers, or the text of one."""
        return bool(self.present) and all(
            (isinstance(value, str) and is_number(value.strip()))
            or (not isinstance(value, str | list | tuple | dict | bool))
            for value in self.present
        )

    @property
    def mostly_numbers(self) -> bool:
        """Whether more than half of the values are numbers, or the text of one; others may be mistakes."""
        texts = sum(isinstance(value, str) and not is_number(value.strip()) for value in self.present)
        return 2 * texts < len(self.present) and not any(isinstance(value, list | dict) for value in self.present)

    @property
    def holds_shares(self) -> bool:
        """Whether it holds numbers from 0 to 1, but for mistakes."""
        numbers = [str(value) for value in self.present if is_number(str(value).strip())]
        return self.mostly_numbers and all(0 <= float(number) <= 1 for number in numbers)

    @property
    def looks_like_text(self) -> bool:
        """Whether its values are sentences: of several words (or in a script without spaces), mostly different."""
        if not self.holds_texts or self._mostly(_LINK) or self._mostly(_DATE) or self._mostly(_IDENTIFIER):
            return False
        different = len(self.counts) / len(self.present)
        spaced = sum(len(value.split()) > 1 or (not value.isascii() and len(value) > 3) for value in self.strings)
        return different > MAX_LABEL_SHARE and spaced > 0.5 * len(self.strings)

    @property
    def looks_like_label(self) -> bool:
        """Whether its values are few, short, and recur; several labels in a list count as one value."""
        if len(self.present) < 2 or len(self.counts) < 2:
            return False
        values = self.present
        whole = all(not isinstance(value, float) or value.is_integer() for value in values)
        fraction = any(isinstance(value, str) and is_number(value) and float(value) % 1 for value in values)
        scalars = all(isinstance(value, str | int | float | bool | list | tuple) for value in values)
        short = max(map(len, self.counts)) <= MAX_LABEL_LENGTH
        few = len(self.counts) <= max(2, MAX_LABEL_SHARE * len(values))
        return (
            whole and not fraction and scalars and short and few and not self._mostly(_DATE) and not self._mostly(_LINK)
        )

    @property
    def is_zero_or_one(self) -> bool:
        """Whether it holds 0 and 1, or false and true, alone."""
        return set(self.counts) <= {"0", "1", "0.0", "1.0", "True", "False", "true", "false"} and bool(self.counts)

    @property
    def is_bookkeeping(self) -> bool:
        """Whether its name says that it is an id, a date, a split or the like."""
        return _OTHERS.search(self.name) is not None

    def sample(self) -> str:
        """Its most frequent values, for a message."""
        shown = [f"{value[:40]}…" if len(value) > 40 else value for value, _ in self.counts.most_common(3)]
        more = ", ..." if len(self.counts) > 3 else ""
        return f"{self.name[:60]!r} ({', '.join(shown)}{more})"

    def _mostly(self, pattern: re.Pattern[str]) -> bool:
        return sum(pattern.fullmatch(value.strip()) is not None for value in self.strings) > 0.5 * len(self.strings)


def by_name(columns: Iterable[Column], names: Sequence[str]) -> Column | None:
    """The column with the first of the names, ignoring case; else the first whose name has one as a word."""
    columns = list(columns)
    folded = {column.name.strip().casefold(): column for column in reversed(columns)}
    whole = next((folded[name] for name in names if name in folded), None)
    if whole is not None:
        return whole
    found = [
        (names.index(word), position)
        for position, column in enumerate(columns)
        if not column.is_bookkeeping
        for word in _words(column.name)
        if word in names
    ]
    return columns[min(found)[1]] if found else None


def _words(name: str) -> list[str]:
    """The words of a column's name: `review_text`, `reviewText`, `Review Text`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.split(r"[\W_]+", spaced.casefold())
