"""base.json, environment.json and data.json: what is known before a run trains."""

from __future__ import annotations

from typing import Any

from feathertune.folders.record import Part, Record


class BaseRecord(Record):
    """The base model, pinned by its checksums.

    Attributes:
        source: as in the recipe.
        revision: the commit on the Hub, or None.
        folder: where the files were; for GGUF, the file.
        architecture, model_type: transformers' names.
        max_length: tokens; longer texts are cut.
        sha256: file -> checksum of weights, config and tokenizer.
    """

    source: str
    revision: str | None
    folder: str
    architecture: str = ""
    model_type: str = ""
    max_length: int = 0
    sha256: dict[str, str]


class EnvironmentRecord(Record):
    """The machine, the versions, and the command line, None for a run from Python.

    `threads` and `accelerator` are those of each of the `processes` that made the run together.
    """

    started: str
    command: str | None
    python: str
    platform: str
    packages: dict[str, str | None]
    processor: str
    cores: int | None = None
    threads: int
    accelerator: str | None = None
    processes: int = 1


class Spread(Part):
    """The distribution of a number over the texts of a split."""

    min: int
    median: float
    p95: float
    max: int


class ShownExample(Part):
    """An example: its place in the source, its label, rating and text."""

    place: str
    label: str
    rating: float | None
    text: str


class RepeatedText(Part):
    """A text that occurs more than once: its first places and their labels."""

    text: str
    places: tuple[str, ...]
    labels: tuple[str, ...]


class Ratings(Part):
    """The ratings of a split: a histogram (value -> count), or quantiles if there are many values."""

    histogram: dict[str, int] | None = None
    quantiles: dict[str, float] | None = None


class SplitRecord(Part):
    """The statistics of one split."""

    count: int
    characters: Spread
    tokens: Spread | None
    labels: dict[str, int]
    ratings: Ratings | None
    duplicates: int
    conflicts: int
    duplicate_examples: tuple[RepeatedText, ...]
    examples: tuple[ShownExample, ...]


class AgreementRecord(Part):
    """How far several annotators agree: Krippendorff's alpha, see `stats.agreement`.

    Attributes:
        alpha: None where all labels are the same.
        low, high: the 95% interval; None where resampling changes nothing.
        items: number of texts with two labels or more, in all splits.
        annotators: the most labels that one text has.
    """

    alpha: float | None
    low: float | None
    high: float | None
    items: int
    annotators: int


class LeakRecord(Part):
    """Texts of the second split that are also in the first."""

    splits: tuple[str, str]
    count: int
    examples: tuple[RepeatedText, ...]


class ListedBadRow(Part):
    """A row that was left out, and why."""

    place: str
    reason: str


class BadRows(Part):
    """How many rows were left out, and the first of them."""

    count: int
    listed: tuple[ListedBadRow, ...]


class DataRecord(Record):
    """The source of the data, and statistics of its splits.

    Attributes:
        source: as in the recipe.
        origin: what pins the data: {"revision": ...} on the Hub, or {"files": {name: sha256}}.
        splits: name -> statistics.
        leaks: texts that occur in two splits.
        notes: sentences for the reader.
        agreement: of several annotators; None where no text has two labels.
        truncated_texts: split -> how many texts were cut at the maximum length; None if nothing was tokenized.
        special_token_texts: split -> how many texts contain a special token; None if nothing was tokenized.
    """

    source: str
    origin: dict[str, Any]
    label_names: tuple[str, ...]
    splits: dict[str, SplitRecord]
    leaks: tuple[LeakRecord, ...]
    bad_rows: BadRows
    notes: tuple[str, ...]
    agreement: AgreementRecord | None = None
    truncated_texts: dict[str, int] | None = None
    special_token_texts: dict[str, int] | None = None
