"""base.json, environment.json and data.json: what is known before a run trains."""

from __future__ import annotations

from typing import Any

from feathertune.folders.record import Part, Record

MAX_FILES = 4  # named in a line about how files are read


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


class Remark(Part):
    """Something that may be wrong with the data.

    Attributes:
        kind: a short name, for programs: docs/DATA.md has them all.
        text: what was found, without a full stop.
        fix: what to do about it, beginning with the key to set where there is one; None where there is nothing to set.
    """

    kind: str
    text: str
    fix: str | None = None

    @property
    def line(self) -> str:
        """The remark in one line."""
        return self.text if self.fix is None else f"{self.text}; {self.fix}"


class ReadAs(Part):
    """How a file is read: in a sentence, and by the keys of a recipe's `data`; None where a kind has no such thing."""

    sentence: str
    kind: str
    separator: str | None = None
    quote: str | None = None
    escape: str | None = None
    header: bool | None = None
    encoding: str | None = None
    compression: str | None = None
    sheet: str | None = None
    field: str | None = None
    tool: str | None = None
    line_ends: str | None = None


class DataRecord(Record):
    """The source of the data, and statistics of its splits.

    Attributes:
        source: as in the recipe.
        origin: what pins the data: {"revision": ...} on the Hub, or {"files": {name: sha256}}.
        splits: name -> statistics.
        leaks: texts that occur in two splits.
        notes: sentences for the reader.
        read_as: name of a file -> how it is read; empty for the Hub, and in files of earlier versions.
        remarks: what may be wrong with the data; empty in files of earlier versions.
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
    read_as: dict[str, ReadAs] = {}
    remarks: tuple[Remark, ...] = ()
    agreement: AgreementRecord | None = None
    truncated_texts: dict[str, int] | None = None
    special_token_texts: dict[str, int] | None = None

    def read_as_lines(self) -> list[str]:
        """How the files are read, in one line for all files that are read alike: 'a.csv, b.csv read as: csv, ...'."""
        names: dict[str, list[str]] = {}
        for name, found in self.read_as.items():
            names.setdefault(found.sentence, []).append(name)
        return [f"{_listed(files)} {sentence}" for sentence, files in names.items()]


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_FILES])
    return shown if len(names) <= MAX_FILES else f"{shown} and {len(names) - MAX_FILES:,} more"
