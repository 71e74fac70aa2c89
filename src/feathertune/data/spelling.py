"""From the value of a label to its name: numbers, lists, several labels in a cell, and what the recipe says."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from feathertune.errors import UserError, nearest
from feathertune.recipe.parsing import typed
from feathertune.recipe.schema import LabelSection

SEPARATORS = re.compile(r"\s*[,;|#]\s*")  # of several labels in one cell
_WHOLE = re.compile(r"(-?\d+)\.0+")
_ITEM = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(-?\d+(?:\.\d+)?)""")
_LIST = re.compile(rf"\[\s*(?:(?:{_ITEM.pattern})(?:\s*,\s*|\s+|(?=\s*\])))*\s*\]")
_ABSENT = frozenset({"", "null", "None", "nan", "NaN"})  # of `missing`: a cell that is empty, too


class MissingLabelError(ValueError):
    """A value that `label.missing` counts as no label: its row is left out, and is not bad."""


class SeveralLabelsError(ValueError):
    """A list of several labels, where one is expected."""

    def __init__(self, labels: Sequence[object]) -> None:
        self._labels = labels
        super().__init__(f"several labels ({', '.join(map(str, labels[:5]))}), where one is expected")

    def at(self, place: str) -> UserError:
        """The error for the user."""
        return UserError(
            f"the texts have several labels each (multi-label), such as {', '.join(map(str, self._labels[:5]))}",
            where=place,
            fix=f"Train one model for each label: {typed('data.label.has', str(self._labels[-1]))}",
        )


class Spelling:
    """How the labels of one source are spelled, by the `label` section of a recipe.

    The order: a value of `missing` is no label; `map` renames; with `merge_case`, spellings that differ in case or in
    outer spaces are one class, named by the most frequent of them in train.
    """

    def __init__(self, section: LabelSection) -> None:
        self._section = section
        self._missing = frozenset(section.missing)
        self._plain = not (section.missing or section.map or section.merge_case)
        self._used: set[str] = set()
        self._seen: Counter[str] = Counter()

    def name(self, value: object) -> str:
        """The name of a label. Raises a ValueError with the reason if the value is none."""
        if self._missing and is_absent(value) and self._missing & _ABSENT:
            raise MissingLabelError(str(value))
        name = value if isinstance(value, str) and value and value[0] != "[" else label_name(value)
        if self._plain:
            return name
        if not self._missing.isdisjoint((name, name.strip(), whole_number(name))):
            raise MissingLabelError(name)
        key = name if name in self._section.map else whole_number(name)
        if key in self._section.map:
            self._used.add(key)
            name = self._section.map[key]
        if self._section.map or self._section.merge_case:
            self._seen[name] += 1
        return name

    def has(self, value: object) -> bool:
        """Whether the labels of a cell or list include the one that `label.has` names."""
        names = labels_in_cell(value)
        if any(name in self._missing for name in names) or (not names and self._missing & _ABSENT):
            raise MissingLabelError(str(value))
        self._seen.update(names)
        return self._section.has in names

    def check(self) -> None:
        """Raise a UserError if a label that the recipe names does not occur in train."""
        section = self._section
        wrong = next((name for name in section.map if name not in self._used), None)
        if wrong is not None:
            raise _never(wrong, "data.label.map", self._seen)
        if section.has is not None and section.has not in self._seen:
            raise _never(section.has, "data.label.has", self._seen)

    def final_names(self, names: Collection[str]) -> dict[str, str]:
        """Name in the file -> name of its class, for the labels of train.

        Whole numbers in the form of fractions ('1.0', '0.0') become whole where all labels are such.
        """
        if all(_WHOLE.fullmatch(name) for name in names):
            return {name: whole_number(name) for name in names}
        if not self._section.merge_case:
            return {name: name for name in names}
        spellings: dict[str, list[str]] = {}
        for name in names:
            spellings.setdefault(folded(name), []).append(name)
        best = {key: max(group, key=lambda one: (self._seen[one], one)).strip() for key, group in spellings.items()}
        return {name: best[folded(name)] for name in names}

    def known(self, name: str, names: Iterable[str]) -> str | None:
        """Which of the known names a label of another split or file is, if it is spelled otherwise; else None."""
        names = list(names)
        if whole_number(name) in names:
            return whole_number(name)
        if self._section.merge_case:
            return next((one for one in names if folded(one) == folded(name)), None)
        return None


def is_absent(value: object) -> bool:
    """Whether there is no value: null, an empty text or list, or NaN, which Parquet files of pandas have for it."""
    return value is None or value in ("", []) or (isinstance(value, float) and math.isnan(value))


def whole_number(name: str) -> str:
    """'1' for '1.0'; any other name as it is."""
    match = _WHOLE.fullmatch(name)
    return name if match is None else match[1]


def folded(name: str) -> str:
    """A label without case and outer spaces."""
    return name.strip().casefold()


def labels_in_cell(value: object) -> list[str]:
    """The labels of a list, or of a cell with separators (, ; | #); none for an empty one."""
    if is_absent(value):
        return []
    listed = _written_list(value) if isinstance(value, str) else value
    if isinstance(listed, list | tuple):
        return [label_name(one) for one in listed if one not in (None, "")]
    return [part for part in SEPARATORS.split(label_name(value).strip()) if part]


def label_name(value: object) -> str:
    """The name of a label from text, a number, a boolean, or a list of one. Raises ValueError for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    listed = _written_list(value) if isinstance(value, str) else value
    if isinstance(listed, list | tuple):
        return _only(listed)
    if is_absent(value):
        raise ValueError("the label is empty" if value == "" else "the label is missing")
    if isinstance(value, float | Decimal) and float(value).is_integer():
        return str(int(value))  # columns of whole numbers with gaps are read as floats
    if not isinstance(value, str | int):
        what = "not a whole number" if isinstance(value, float | Decimal) else "neither text, an integer nor true/false"
        raise ValueError(f"the label {value!r} is {what}")
    return str(value)


def _written_list(text: str) -> list[str] | None:
    """The labels of a list as Python, NumPy or JSON write it: `['a', 'b']`, `['a' 'b']`, `[1, 2]`; None for others."""
    if _LIST.fullmatch(text) is None:
        return None
    return [match[1] or match[2] or match[3] or "" for match in _ITEM.finditer(text)]


def _only(labels: list[object] | tuple[object, ...]) -> str:
    """The label of a list of one."""
    if len(labels) == 1:
        return label_name(labels[0])
    if not labels:
        raise ValueError("the label is missing (an empty list)")
    raise SeveralLabelsError(labels)


def _never(name: str, key: str, seen: Iterable[str]) -> UserError:
    seen = list(seen)
    near = nearest(name, seen)
    others = ", ".join(map(repr, sorted(seen)[:10])) + (", ..." if len(seen) > 10 else "")
    hint = f"; did you mean {near!r}?" if near else f"; the labels are {others}"
    return UserError(f"no row of train has the label {name!r}{hint}", where=key)
