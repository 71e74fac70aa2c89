"""Texts that occur more than once: within a split (duplicates, conflicting labels) and across splits (leaks).

Two texts are the same if their keys are (see `text_keys`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from feathertune.data.example import Dataset, Split

MAX_EXAMPLES = 5
MAX_PLACES = 5


@dataclass(frozen=True)
class Repeated:
    """A text that occurs more than once, with its first places and its labels there."""

    text: str
    places: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Duplicates:
    """Within one split: `rows` is the number of repeated rows, `conflicts` that of texts with different labels."""

    rows: int
    conflicts: int
    examples: tuple[Repeated, ...]


@dataclass(frozen=True)
class Leak:
    """`rows` is the number of rows in the split `second` whose text is also in the split `first`."""

    first: str
    second: str
    rows: int
    examples: tuple[Repeated, ...]


@dataclass(frozen=True)
class Overlap:
    """All repeated texts: within each split, and between each pair of splits."""

    duplicates: dict[str, Duplicates]
    leaks: tuple[Leak, ...]


def find_overlap(dataset: Dataset) -> Overlap:
    """Find the duplicates of each split, and the leaks between each pair that shares a text."""
    keys = {name: split.keys for name, split in dataset.splits.items()}
    duplicates = {
        name: _find_duplicates(split, keys[name], dataset.label_names) for name, split in dataset.splits.items()
    }
    leaks = (_find_leak(dataset.splits, keys, pair, dataset.label_names) for pair in combinations(dataset.splits, 2))
    return Overlap(duplicates, tuple(leak for leak in leaks if leak.rows))


def _find_duplicates(split: Split, keys: npt.NDArray[np.uint64], names: tuple[str, ...]) -> Duplicates:
    order = np.argsort(keys, kind="stable")  # copies are adjacent, each run in the order of the rows
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    if len(starts) == len(order):
        return Duplicates(0, 0, ())
    labels = split.labels[order]
    conflicting = np.minimum.reduceat(labels, starts) != np.maximum.reduceat(labels, starts)
    sizes = np.diff(np.append(starts, len(order)))
    # Show conflicts first, then the rest in the order of the file.
    repeated = np.flatnonzero(sizes > 1)
    shown = repeated[np.lexsort((order[starts[repeated]], ~conflicting[repeated]))][:MAX_EXAMPLES]
    return Duplicates(
        rows=len(order) - len(starts),
        conflicts=int(conflicting.sum()),
        examples=tuple(
            _repeated([(split, row) for row in order[starts[run] : starts[run] + sizes[run]]], names) for run in shown
        ),
    )


def _find_leak(
    splits: Mapping[str, Split],
    keys: Mapping[str, npt.NDArray[np.uint64]],
    pair: tuple[str, str],
    names: tuple[str, ...],
) -> Leak:
    first, second = pair
    ordered = np.sort(keys[first])  # np.isin needs four times the memory
    nearest = np.minimum(np.searchsorted(ordered, keys[second]), len(ordered) - 1)
    leaked = np.flatnonzero(ordered[nearest] == keys[second])
    examples = []
    for row in leaked[:MAX_EXAMPLES]:
        source = int(np.flatnonzero(keys[first] == keys[second][row])[0])
        examples.append(_repeated([(splits[first], source), (splits[second], row)], names))
    return Leak(first, second, len(leaked), tuple(examples))


def _repeated(rows: list[tuple[Split, int]], names: tuple[str, ...]) -> Repeated:
    shown = rows[:MAX_PLACES]
    split, row = shown[0]
    return Repeated(
        text=split.texts[int(row)].as_py(),
        places=tuple(split.place(int(row)) for split, row in shown),
        labels=tuple(names[int(split.labels[row])] for split, row in shown),
    )
