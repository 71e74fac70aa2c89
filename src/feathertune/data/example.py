"""Examples, splits and datasets. A split stores its examples by column, so that a million of them stay small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feathertune.data.formats.format import FileFormat
from feathertune.data.rows import BadRow
from feathertune.data.text_keys import text_keys
from feathertune.data.texts import take as take_texts
from feathertune.recipe.schema import DataSection


@dataclass(frozen=True)
class Example:
    """One labelled text. `row` is its 1-based line (or row) in the source; `rating` is None if there is none."""

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
        texts: N strings, as an Arrow column; a large one is in a memory-mapped file, not in memory.
        labels: [N] int64, class indices into `Dataset.label_names`.
        ratings: [N] float64, or None if labels do not come from a rating.
        shares: [N, C] float64, the shares of a text's annotators that gave each class, to train on (`label.annotators:
            soft`); None if labels are trained on.
        file: the name of the file (or of the Hub's split) that `rows` refers to; empty if unknown.
    """

    name: str
    rows: npt.NDArray[np.int64]
    texts: pa.ChunkedArray
    labels: npt.NDArray[np.int64]
    ratings: npt.NDArray[np.float64] | None
    file: str = ""
    shares: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        rating = None if self.ratings is None else float(self.ratings[index])
        return Example(int(self.rows[index]), self.texts[index].as_py(), int(self.labels[index]), rating)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """[N] uint64: equal for texts that count as the same (see `text_keys`)."""
        return text_keys(self.texts)

    def place(self, index: int) -> str:
        """The place of an example in the source, for messages: `train.tsv:12`."""
        return f"{self.file or self.name}:{self.rows[index]}"

    def take(self, indices: npt.NDArray[np.int64], name: str | None = None) -> Split:
        """A split of the examples at `indices`, in that order, optionally with another name."""
        taken = Split(
            name=self.name if name is None else name,
            rows=self.rows[indices],
            texts=take_texts(self.texts, indices),
            labels=self.labels[indices],
            ratings=None if self.ratings is None else self.ratings[indices],
            file=self.file,
            shares=None if self.shares is None else self.shares[indices],
        )
        if "keys" in self.__dict__:
            taken.__dict__["keys"] = self.keys[indices]
        return taken


@dataclass(frozen=True)
class Dataset:
    """The splits of a source, and where they come from.

    Attributes:
        splits: name -> Split. train and validation are always there; test if the source has one.
        label_names: class index -> name.
        source: as the recipe names it.
        origin: pins the source: {"revision": ...} for the Hub, or {"files": {name: sha256}}.
        bad_rows: the rows that `on_bad_row: skip` skipped.
        notes: sentences for the user, such as 'validation was made from train (10%, stratified, seed 0)'.
        validation_made: whether validation was made from train.
        section: the recipe's section with its columns named; None for data that no recipe describes.
        formats: name of a file -> how it is read.
        votes: [M, K] how many annotators gave each of M texts each of K labels, of all texts with several annotators
            (also those left out because no label had a majority); None if there are none.
    """

    splits: dict[str, Split]
    label_names: tuple[str, ...]
    source: str
    origin: dict[str, object]
    bad_rows: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = field(default=())
    validation_made: bool = False
    section: DataSection | None = None
    formats: dict[str, FileFormat] = field(default_factory=dict)
    votes: npt.NDArray[np.int64] | None = None
