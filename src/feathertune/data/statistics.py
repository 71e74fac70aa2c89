"""What `inspect data` says: `describe` counts (JSON-ready), `render` shows it as tables.

Everything is per split: count, characters, tokens, labels, ratings, duplicates, examples; then leaks, bad rows, notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from feathertune.data.example import Dataset, Split
from feathertune.data.labels import RATING_DECIMALS
from feathertune.data.overlap import Duplicates, Overlap, find_overlap

EXAMPLES_PER_CLASS = 3
MAX_BAD_ROWS = 100  # listed; all are counted
MAX_RATINGS = 20  # different values; more are summed up by quantiles
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def describe(
    dataset: Dataset,
    tokens: Mapping[str, npt.NDArray[np.int64]] | None,
    seed: int = 0,
    *,
    overlap: Overlap | None = None,
) -> dict[str, Any]:
    """Everything worth knowing about a dataset, as JSON can hold it.

    Args:
        dataset: the dataset.
        tokens: split name -> how many tokens each of its texts has ([N]), or None to leave tokens out (null).
        seed: decides which examples are shown.
        overlap: what `find_overlap` found in this dataset, if it has been asked already.

    Returns:
        source, origin, label_names, splits (name -> count, characters and tokens {min, median, p95, max}, labels
        {name: count}, ratings {histogram: {value: count}} or {quantiles: {q: value}} or null, duplicates, conflicts,
        duplicate_examples, examples), leaks, bad_rows {count, listed}, notes.
    """
    overlap = find_overlap(dataset) if overlap is None else overlap
    return {
        "source": dataset.source,
        "origin": dataset.origin,
        "label_names": list(dataset.label_names),
        "splits": {
            name: _describe_split(
                split, dataset.label_names, overlap.duplicates[name], None if tokens is None else tokens[name], seed
            )
            for name, split in dataset.splits.items()
        },
        "leaks": [
            {
                "splits": [leak.first, leak.second],
                "count": leak.rows,
                "examples": [_json(item) for item in leak.examples],
            }
            for leak in overlap.leaks
        ],
        "bad_rows": {
            "count": len(dataset.bad_rows),
            "listed": [{"place": bad.place, "reason": bad.reason} for bad in dataset.bad_rows[:MAX_BAD_ROWS]],
        },
        "notes": list(dataset.notes),
    }


def _describe_split(
    split: Split, names: tuple[str, ...], duplicates: Duplicates, tokens: npt.NDArray[np.int64] | None, seed: int
) -> dict[str, Any]:
    counts = np.bincount(split.labels, minlength=len(names))
    return {
        "count": len(split),
        "characters": _spread(pc.utf8_length(split.texts).to_numpy().astype(np.int64)),
        "tokens": None if tokens is None else _spread(tokens),
        "labels": dict(zip(names, counts.tolist(), strict=True)),
        "ratings": None if split.ratings is None else _ratings(split.ratings),
        "duplicates": duplicates.rows,
        "conflicts": duplicates.conflicts,
        "duplicate_examples": [_json(item) for item in duplicates.examples],
        "examples": _examples(split, names, seed),
    }


def _spread(values: npt.NDArray[np.int64]) -> dict[str, float]:
    median, p95 = np.percentile(values, [50, 95])
    return {"min": int(values.min()), "median": float(median), "p95": round(float(p95), 2), "max": int(values.max())}


def _ratings(ratings: npt.NDArray[np.float64]) -> dict[str, Any]:
    values, counts = np.unique(ratings.round(RATING_DECIMALS) + 0.0, return_counts=True)  # + 0.0: -0 is 0
    if len(values) <= MAX_RATINGS:
        return {"histogram": {_number(value): count for value, count in zip(values, counts.tolist(), strict=True)}}
    quantiles = np.quantile(ratings, QUANTILES).round(RATING_DECIMALS)
    return {"quantiles": {f"{q:g}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)}}


def _number(value: float) -> str:
    """A rating without trailing zeros: '0.166667', '0.8', '1'."""
    return f"{value:.{RATING_DECIMALS}f}".rstrip("0").rstrip(".")


def _examples(split: Split, names: tuple[str, ...], seed: int) -> list[dict[str, Any]]:
    """A few examples of each class, drawn with `seed`, in the order of the file."""
    generator = np.random.default_rng(seed)
    chosen = []
    for label, name in enumerate(names):
        rows = np.flatnonzero(split.labels == label)
        for row in sorted(generator.permutation(rows)[:EXAMPLES_PER_CLASS].tolist()):
            example = split[row]
            place = split.place(row)
            chosen.append({"place": place, "label": name, "rating": example.rating, "text": example.text})
    return chosen


def _json(item: Any) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(item).items()}
