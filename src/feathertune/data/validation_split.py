"""Making a validation split from train, by the texts and a seed alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feathertune.data.example import Split
from feathertune.errors import UserError


def split_validation(train: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Split train into (train, validation), with `fraction` of each class and all copies of a text on the same side.

    The choice depends only on the texts and the seed, not on the order of rows or on a library's random numbers.

    Raises:
        UserError: there are too few examples.
    """
    in_validation_N = _chosen(train.keys, train.labels, fraction, seed)
    if not in_validation_N.any():
        raise UserError(
            f"train's {len(train)} examples are too few to make a validation split",
            where=train.file or train.name,
            fix="Add examples, or a validation file.",
        )
    return train.take(np.flatnonzero(~in_validation_N)), train.take(np.flatnonzero(in_validation_N), "validation")


def _chosen(
    keys_N: npt.NDArray[np.uint64], labels_N: npt.NDArray[np.int64], fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """[N]: which examples become validation's, from the keys of their texts and their labels."""
    # As np.unique with all its results, in half the memory: a million rows are 8 MB in each array.
    by_key_N = np.argsort(keys_N, kind="stable")
    keys = keys_N[by_key_N]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    keys, sizes = keys[starts], np.diff(starts, append=len(keys_N))
    group_labels = labels_N[by_key_N[starts]]  # copies with different labels count as the first one
    del starts
    order = np.argsort(_mixed(keys ^ _mixed(np.array([seed], dtype=np.uint64))), kind="stable")
    chosen: npt.NDArray[np.bool_] = np.zeros(len(keys), dtype=bool)
    for label in np.unique(group_labels):
        groups = order[group_labels[order] == label]
        chosen[_fill(groups, sizes[groups], fraction)] = True
    in_validation_N = np.empty(len(keys_N), dtype=bool)
    in_validation_N[by_key_N] = np.repeat(chosen, sizes)
    return in_validation_N


def _fill(groups: npt.NDArray[np.intp], sizes: npt.NDArray[np.intp], fraction: float) -> npt.NDArray[np.intp]:
    """The first groups of a class that together make up `fraction` of its rows; at least one row remains."""
    total = int(sizes.sum())
    target = min(max(round(total * fraction), 1), total - 1)
    fitting = int(np.searchsorted(np.cumsum(sizes), target, side="right"))  # the first so many fit together
    chosen, filled = [], int(sizes[:fitting].sum())
    for index in range(fitting, len(groups)):
        if filled == target:
            break
        if filled + sizes[index] <= target:
            chosen.append(groups[index])
            filled += int(sizes[index])
    return np.concatenate([groups[:fitting], np.array(chosen, dtype=np.intp)])


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64: scatters 64-bit values, identically on every machine."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)
    return values
