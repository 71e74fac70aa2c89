"""Statistics of a dataset: the content of data.json, which `inspect data` shows and reports use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from feathertune.data.example import Dataset, Split
from feathertune.data.formats.format import FileFormat
from feathertune.data.labels import RATING_DECIMALS
from feathertune.data.overlap import Duplicates, Leak, Overlap, Repeated, find_overlap
from feathertune.data.remarks import Reading, find_remarks
from feathertune.data.rows import BadRow
from feathertune.folders.inputs import (
    AgreementRecord,
    BadRows,
    DataRecord,
    LeakRecord,
    ListedBadRow,
    Ratings,
    ReadAs,
    RepeatedText,
    ShownExample,
    SplitRecord,
    Spread,
)

EXAMPLES_PER_CLASS = 3
MAX_BAD_ROWS = 100  # listed; all are counted
MAX_RATINGS = 20  # different values in a histogram; more are summarized by quantiles
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def describe(
    dataset: Dataset,
    tokens: Mapping[str, npt.NDArray[np.int64]] | None,
    seed: int = 0,
    *,
    overlap: Overlap | None = None,
    reading: Reading | None = None,
) -> DataRecord:
    """The statistics of a dataset.

    Args:
        dataset: the dataset.
        tokens: split name -> [N] number of tokens of each text; None to leave tokens out.
        seed: determines which examples are shown.
        overlap: the result of `find_overlap` for this dataset, if it is known already.
        reading: how the model reads the texts, for remarks on tokens; None to leave them out.
    """
    overlap = find_overlap(dataset) if overlap is None else overlap
    return DataRecord(
        source=dataset.source,
        origin=dict(dataset.origin),
        label_names=dataset.label_names,
        splits={
            name: _describe_split(
                split, dataset.label_names, overlap.duplicates[name], None if tokens is None else tokens[name], seed
            )
            for name, split in dataset.splits.items()
        },
        leaks=tuple(_leak(leak) for leak in overlap.leaks),
        bad_rows=_bad_rows(dataset.bad_rows),
        notes=dataset.notes,
        read_as={name: _read_as(found) for name, found in dataset.formats.items()},
        remarks=find_remarks(dataset, overlap, tokens, reading),
        agreement=None if dataset.votes is None else _agreement(dataset.votes),
    )


def _read_as(found: FileFormat) -> ReadAs:
    return ReadAs(sentence=found.sentence(), **asdict(found))


def _describe_split(
    split: Split, names: tuple[str, ...], duplicates: Duplicates, tokens: npt.NDArray[np.int64] | None, seed: int
) -> SplitRecord:
    counts = np.bincount(split.labels, minlength=len(names))
    return SplitRecord(
        count=len(split),
        characters=_spread(pc.utf8_length(split.texts).to_numpy().astype(np.int64)),
        tokens=None if tokens is None else _spread(tokens),
        labels=dict(zip(names, counts.tolist(), strict=True)),
        ratings=None if split.ratings is None else _ratings(split.ratings),
        duplicates=duplicates.rows,
        conflicts=duplicates.conflicts,
        duplicate_examples=_repeated(duplicates.examples),
        examples=tuple(_examples(split, names, seed)),
    )


def _agreement(votes_MK: npt.NDArray[np.int64]) -> AgreementRecord | None:
    from feathertune.stats.agreement import agreement  # scipy takes a second and 60 MiB

    found = agreement(votes_MK)
    if found is None:
        return None
    low, high = found.interval or (None, None)
    return AgreementRecord(alpha=found.alpha, low=low, high=high, items=found.items, annotators=found.annotators)


def _spread(values: npt.NDArray[np.int64]) -> Spread:
    median, p95 = np.percentile(values, [50, 95])
    return Spread(min=int(values.min()), median=float(median), p95=round(float(p95), 2), max=int(values.max()))


def _ratings(ratings: npt.NDArray[np.float64]) -> Ratings:
    values, counts = np.unique(ratings.round(RATING_DECIMALS) + 0.0, return_counts=True)  # + 0.0 turns -0 into 0
    if len(values) <= MAX_RATINGS:
        return Ratings(histogram={format_rating(value): n for value, n in zip(values, counts.tolist(), strict=True)})
    quantiles = np.quantile(ratings, QUANTILES).round(RATING_DECIMALS)
    return Ratings(quantiles={f"{q:g}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)})


def format_rating(value: float) -> str:
    """A rating without trailing zeros: '0.166667', '0.8', '1'."""
    return f"{value:.{RATING_DECIMALS}f}".rstrip("0").rstrip(".")


def _examples(split: Split, names: tuple[str, ...], seed: int) -> Iterable[ShownExample]:
    """A few random examples of each class, in the order of the file."""
    generator = np.random.default_rng(seed)
    for label, name in enumerate(names):
        rows = np.flatnonzero(split.labels == label)
        for row in sorted(generator.permutation(rows)[:EXAMPLES_PER_CLASS].tolist()):
            example = split[row]
            yield ShownExample(place=split.place(row), label=name, rating=example.rating, text=example.text)


def _leak(leak: Leak) -> LeakRecord:
    return LeakRecord(splits=(leak.first, leak.second), count=leak.rows, examples=_repeated(leak.examples))


def _repeated(examples: Iterable[Repeated]) -> tuple[RepeatedText, ...]:
    return tuple(RepeatedText(text=one.text, places=one.places, labels=one.labels) for one in examples)


def _bad_rows(bad_rows: tuple[BadRow, ...]) -> BadRows:
    listed = tuple(ListedBadRow(place=bad.place, reason=bad.reason) for bad in bad_rows[:MAX_BAD_ROWS])
    return BadRows(count=len(bad_rows), listed=listed)
