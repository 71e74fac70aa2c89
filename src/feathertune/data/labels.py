"""From the value in a row to a class and, if there is one, a rating.

A label comes from a column (text, integers, true/false), or from a rating and a threshold. Ratings are rounded to 6
decimals before they are compared, because the Hub stores 0.8 as the float32 0.800000011920929.
"""

from __future__ import annotations

import math
from contextlib import suppress
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from feathertune.data.annotators import decide
from feathertune.data.rows import Votes, is_number
from feathertune.data.spelling import MissingLabelError, Spelling, whole_number
from feathertune.errors import UserError, nearest
from feathertune.recipe.schema import LabelSection

RATING_NAMES = ("NEGATIVE", "POSITIVE")
MAX_CLASSES = 1000
RATING_DECIMALS = 6


class UnknownLabelError(ValueError):
    """A label that train does not have."""


class LabelReader:
    """Reads the labels of one source: first those of train, then, after `finalize`, those of the other splits.

    If the names are given, or come from a rating, class indices are final from the start. Otherwise train's values are
    numbered in order of appearance, and `finalize` sorts and renumbers them. After that, a new value is an error.
    """

    def __init__(self, section: LabelSection, known_names: tuple[str, ...] = ()) -> None:
        """`known_names`: the labels of a finished run, if any; then all others are errors."""
        self._section = section
        fixed = RATING_NAMES if section.rating is not None else ()
        if section.has is not None:
            fixed = (f"not {section.has}", section.has)
        names = known_names or section.names or fixed
        self._indices = {name: index for index, name in enumerate(names)}
        self._final = bool(names)
        # Names given for a column of 0, 1, 2 ... are the names of those numbers, unless they are numbers themselves.
        by_number = (
            section.column is not None and section.names is not None and not any(is_number(name) for name in names)
        )
        self._numbers = {str(index): index for index in range(len(names))} if by_number else {}
        self._spelling = Spelling(section)

    @property
    def column(self) -> str:
        """The column that labels are read from."""
        return self._section.column or self._section.rating or ""

    @property
    def names(self) -> tuple[str, ...]:
        """Class index -> name; final after `finalize`."""
        return tuple(self._indices)

    @property
    def sorted_names(self) -> tuple[str, ...]:
        """The labels so far, in the order that `finalize` gives them."""
        return self.names if self._final else tuple(_sorted(list(self._indices)))

    def read(self, value: object) -> tuple[int, float | None]:
        """The class index of one row's value, and its rating (None for labels from a column).

        Raises:
            ValueError: the value is not a label or rating; the message gives the reason. It is a `MissingLabelError`
                if it stands for no label, an `UnknownLabelError` if train has no such label.
            TiedVotesError: the labels of several annotators have no majority.
            UserError: the column has more than 1000 different values.
        """
        if isinstance(value, Votes):
            names = self.vote_names(value)
            if not names:
                raise ValueError("the label is missing")
            return self._class_of(decide(names, self._section.annotators)), None
        if self._section.has is not None:
            return int(self._spelling.has(value)), None
        if self._section.column is not None:
            return self._class_of(self._spelling.name(value)), None
        rating = parse_rating(value)
        if self._section.soft and not 0 <= round_rating(rating) <= 1:
            raise ValueError(f"the rating {value!r} is not between 0 and 1, as a soft target must be")
        return int(is_high(rating, self._section)), rating

    def vote_names(self, votes: Votes) -> list[str]:
        """The names of the labels that annotators gave, newest first. Raises ValueError if one is no label."""
        names = []
        for vote in votes:
            with suppress(MissingLabelError):
                if vote is not None:
                    names.append(self._spelling.name(vote))
        return names

    def shares(self, votes: Votes) -> dict[int, float]:
        """Class index -> share of the annotators who gave it. Raises as `read`."""
        names = self.vote_names(votes)
        shares: dict[int, float] = {}
        for name in names:
            index = self._class_of(name)
            shares[index] = shares.get(index, 0.0) + 1 / len(names)
        return shares

    def finalize(self) -> npt.NDArray[np.int64]:
        """Fix the classes once train has been read. Returns [C] int64, the final index of each class seen so far.

        Raises:
            UserError: the column has fewer than two different values; or a label that the recipe names never occurs.
        """
        self._spelling.check()
        numbered = list(self._indices)
        if not self._final and len(numbered) < 2:
            raise UserError(
                f"a classifier needs two labels, but in train the column {self.column!r} has only {numbered}",
                where="data.label.column",
            )
        if self._final:
            return np.array([self._indices[name] for name in numbered], dtype=np.int64)
        final = self._spelling.final_names(numbered)
        self._indices = {name: index for index, name in enumerate(_sorted(list(dict.fromkeys(final.values()))))}
        self._final = True
        return np.array([self._indices[final[name]] for name in numbered], dtype=np.int64)

    def _class_of(self, name: str) -> int:
        index = self._indices.get(name)
        if index is not None:
            return index
        if not self._final:
            return self._add(name)
        if whole_number(name) in self._numbers:
            return self._numbers[whole_number(name)]
        known = self._spelling.known(name, self._indices)
        if known is not None:
            return self._indices[known]
        near = nearest(name, list(self._indices))
        hint = f"did you mean {near!r}?" if near else f"the labels are {_listed(self._indices)}"
        raise UnknownLabelError(f"unknown label {name!r}; {hint}")

    def _add(self, name: str) -> int:
        if len(self._indices) == MAX_CLASSES:
            raise UserError(
                f"the column {self.column!r} has more than {MAX_CLASSES} different values: is it a label?",
                where="data.label.column",
                fix="Set data.label.column to the column of labels, or data.label.rating to a column of numbers.",
            )
        return self._indices.setdefault(name, len(self._indices))


def is_high(rating: float, section: LabelSection) -> bool:
    """Whether a rating belongs to the second of the two classes."""
    if section.above is not None:
        return round_rating(rating) > round_rating(section.above)
    return round_rating(rating) >= round_rating(section.at_least or 0.0)


def soft_targets(ratings_N: npt.NDArray[np.float64], section: LabelSection) -> npt.NDArray[np.float32]:
    """[N, 2] float32 target probabilities, from ratings that are shares of raters who voted yes.

    By default the rating r itself is the probability of the second class. A model trained on it estimates the rating,
    so unless the label is `above: 0.5`, its probabilities need a threshold near that of the label.

    With `raters` n, the target is the probability that n other raters, each voting yes with probability r, would give
    the label. For 5 raters and `at_least: 0.8`, that means 4 or 5 votes: 0.34 for r = 0.6 and 0.74 for r = 0.8. Then
    0.5 is the right threshold.
    """
    share_N = np.clip(ratings_N, 0.0, 1.0)  # 1 may be stored as 1.0000001
    if section.raters is not None:
        from scipy.stats import binom

        enough = [count for count in range(section.raters + 1) if is_high(count / section.raters, section)]
        min_votes = min(enough, default=section.raters + 1)
        share_N = binom.sf(min_votes - 1, section.raters, share_N)
    return np.stack([1 - share_N, share_N], axis=1).astype(np.float32)


def round_rating(rating: float) -> float:
    """A rating without the digits that float32 adds."""
    return round(rating, RATING_DECIMALS)


def parse_rating(value: object) -> float:
    """A rating from a number or its text. Raises ValueError with the reason if it is not a finite number."""
    if isinstance(value, str) and not is_number(value):
        raise ValueError(f"the rating {value!r} is not a number" if value else "the rating is empty")
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError("the rating is missing" if value is None else f"the rating {value!r} is not a number")
    try:
        rating = float(value)
    except OverflowError:
        rating = math.inf
    if not math.isfinite(rating):
        raise ValueError(f"the rating {str(value)[:40]} is not a finite number")
    return rating


def _sorted(names: list[str]) -> list[str]:
    """Sorted as numbers if all are numbers ('2' before '10'), else alphabetically."""
    if all(is_number(name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names)


def _listed(names: dict[str, int]) -> str:
    shown = [repr(name) for name in list(names)[:10]]
    return ", ".join(shown) + (", ..." if len(names) > 10 else "")
