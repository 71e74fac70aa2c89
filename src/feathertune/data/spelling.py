"""From the value of a label to its name: numbers, lists, several labels in a cell, and what the recipe says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from feathertune.errors import UserError, nearest
from feathertune.recipe.parsing import typed
from feathertune.recipe.schema import LabelSection

SEPARATORS = re.compile(r"\s*[,;|#]\s*")  # of several labels in one cell
_WHOLE = re.compile(r"(-?\d+)\.0+")


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
        name = value if isinstance(value, str) and value else label_name(value)
        if self._plain:
            return name
        if name in self._missing or name.strip() in self._missing:
            raise MissingLabelError(name)
        if name in self._section.map:
            self._used.add(name)
            name = self._section.map[name]
        if self._section.map or self._section.merge_case:
            self._seen[name] += 1
        return name

    def has(self, value: object) -> bool:
        """Whether the labels of a cell or list include the one that `label.has` names."""
        names = labels_in_cell(value)
        if any(name in self._missing for name in names):
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
        whole = [_WHOLE.fullmatch(name) for name in names]
        if all(whole):
            return {match.string: match[1] for match in whole if match is not None}
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
        whole = _WHOLE.fullmatch(name)
        if whole is not None and whole[1] in names:
            return whole[1]
        if self._section.merge_case:
            return next((one for one in names if folded(one) == folded(name)), None)
        return None


def folded(name: str) -> str:
    """A label without case and outer spaces."""
    return name.strip().casefold()


def labels_in_cell(value: object) -> list[str]:
    """The labels of a list, or of a cell with separators (, ; | #); none for an empty one."""
    if value is None or value == "":
        return []
    if isinstance(value, list | tuple):
        return [label_name(one) for one in value if one not in (None, "")]
    return [part for part in SEPARATORS.split(label_name(value).strip()) if part]


def label_name(value: object) -> str:
    """The name of a label from text, a number, a boolean, or a list of one. Raises ValueError for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return _only(value)
    if value is None or value == "":
        raise ValueError("the label is missing" if value is None else "the label is empty")
    if isinstance(value, float | Decimal) and float(value).is_integer():
        return str(int(value))  # columns of whole numbers with gaps are read as floats
    if not isinstance(value, str | int):
        what = "not a whole number" if isinstance(value, float | Decimal) else "neither text, an integer nor true/false"
        raise ValueError(f"the label {value!r} is {what}")
    return str(value)


def _only(labels: list[object] | tuple[object, ...]) -> str:
    """The label of a list of one."""
    if len(labels) == 1:
        return label_name(labels[0])
    if not labels:
        raise ValueError("the label is missing (an empty list)")
    raise SeveralLabelsError(labels)


def _never(name: str, key: str, seen: Iterable[str]) -> UserError:
    near = nearest(name, list(seen))
    hint = f"; did you mean {near!r}?" if near else ""
    return UserError(f"no row of train has the label {name!r}{hint}", where=key)
