"""What flows out of the data room: examples, held by column so that a million of them stay small.

rows of a file -> `Example` -> ... : a `Split` is a frozen table of examples; `Dataset` is the splits and their story.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feathertune.data.texts import take as take_texts


@dataclass(frozen=True)
class Example:
    """One labelled text. `row` is its 1-based line (or row) in the source; `rating` is None where there is none."""

    row: int
    text: str
    label: int
    rating: float | None


@dataclass(frozen=True)
class Split:
    """The N examples of one split, by column.

    Attributes:
        name: train, validation or test.
        rows: [N] int64, 1-based line or row numbers in the source.
        texts: N strings, as an Arrow column; many of them lie in a mapped file, not in memory.
        labels: [N] int64, class indices into `Dataset.label_names`.
        ratings: [N] float64, or None where the label does not come from a rating.
        file: the file name (or the Hub's split) that `rows` count in; the split's name where it is not known.
    """

    name: str
    rows: npt.NDArray[np.int64]
    texts: pa.ChunkedArray
    labels: npt.NDArray[np.int64]
    ratings: npt.NDArray[np.float64] | None
    file: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        rating = None if self.ratings is None else float(self.ratings[index])
        return Example(int(self.rows[index]), self.texts[index].as_py(), int(self.labels[index]), rating)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def place(self, index: int) -> str:
        """Where an example stands in the source, for people: `train.tsv:12`."""
        return f"{self.file or self.name}:{self.rows[index]}"

    def take(self, indices: npt.NDArray[np.int64], name: str | None = None) -> Split:
        """The examples at `indices`, in that order, optionally under another name."""
        return Split(
            name=self.name if name is None else name,
            rows=self.rows[indices],
            texts=take_texts(self.texts, indices),
            labels=self.labels[indices],
            ratings=None if self.ratings is None else self.ratings[indices],
            file=self.file,
        )


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used: where, why, and what mends it where that is known (a file to be saved anew)."""

    place: str
    reason: str
    fix: str | None = None


@dataclass(frozen=True)
class Dataset:
    """The splits of one source and what is known about it.

    Attributes:
        splits: name -> Split; always has train and validation, test where the source has one.
        label_names: class index -> name.
        source: as the recipe gave it.
        origin: what pins it: {"revision": ...} of the Hub, or {"files": {name: sha256}}.
        bad_rows: the rows that `on_bad_row: skip` left out.
        notes: sentences for the reader, such as 'validation was made from train (10%, stratified, seed 0)'.
        validation_made: whether it was.
    """

    splits: dict[str, Split]
    label_names: tuple[str, ...]
    source: str
    origin: dict[str, object]
    bad_rows: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = field(default=())
    validation_made: bool = False
