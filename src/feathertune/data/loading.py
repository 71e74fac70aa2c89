"""From the recipe's `data` section to a `Dataset`: read, check, label, and make a validation split if there is none.

Rows are streamed. Texts are kept in a memory-mapped file and numbers in flat arrays, so that a million rows are never a
million Python objects and need no more memory than their numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feathertune.data.annotators import TiedVotesError, VoteLog, share_matrix
from feathertune.data.columns import resolve, text_columns
from feathertune.data.example import Dataset, Split
from feathertune.data.formats.format import Table
from feathertune.data.labels import LabelReader
from feathertune.data.overlap import text_keys
from feathertune.data.rows import BadRow, Row, Votes, missing_column
from feathertune.data.sources import file_settings, open_source
from feathertune.data.texts import TextWriter
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from feathertune.wording.numbers import count

_SKIP_IN_RECIPE = "data.on_bad_row=skip"


class BadRowError(UserError):
    """A row that cannot be used, although bad rows may not be skipped."""

    def __init__(self, bad: BadRow, skip: str | None) -> None:
        """`skip` is the recipe change or option that skips bad rows; None if they cannot be skipped."""
        self._bad = bad
        default = "Fix or remove it." if skip is None else f"Fix it, or skip such rows: {skip}"
        super().__init__(bad.reason, where=bad.place, fix=bad.fix or default)

    def with_skip(self, skip: str) -> BadRowError:
        """The same error with another way to skip bad rows."""
        return BadRowError(self._bad, skip)


def load_dataset(section: DataSection, seed: int) -> Dataset:
    """Read all splits of a source. A missing validation split is made from train with `validation_seed` or `seed`.

    Raises:
        UserError: the source cannot be read, a column is missing, a row is bad (without `on_bad_row: skip`), a split is
            empty, or train has fewer than two labels.
    """
    section = resolve(section)
    source = open_source(section.source, section.revision, file_settings(section))
    labels = LabelReader(section.label)
    splits: dict[str, Split] = {}
    bad_rows: list[BadRow] = []
    votes = VoteLog(section.label.annotators)
    notes = list(source.notes)
    for name, split_source in source.splits.items():  # train comes first: it determines the labels
        if name == "test" and not section.test:
            continue
        splits[name] = _read_split(name, split_source, section, labels, votes, bad_rows, _SKIP_IN_RECIPE)
        notes += split_source.notes_after()
    notes += [*votes.notes(), *_class_notes(splits["train"], labels.names, section.source)]
    made = "validation" not in splits
    if made:
        seed = seed if section.validation_seed is None else section.validation_seed
        train, validation = split_validation(splits["train"], section.validation_fraction, seed)
        splits = {"train": train, "validation": validation} | {k: v for k, v in splits.items() if k != "train"}
        notes.append(
            f"validation was made from train ({section.validation_fraction:.3g} of it, stratified, seed {seed})"
        )
    rest = (tuple(bad_rows), tuple(notes), made, votes.counts())
    return Dataset(splits, labels.names, section.source, source.origin, *rest)


def load_split(path: Path, section: DataSection, label_names: tuple[str, ...]) -> Split:
    """Read a labelled file by the rules of a finished run, as one split named after the file.

    For a folder with splits, the validation split is read.

    Args:
        path: the file or folder.
        section: the run's `data` section; its source is ignored.
        label_names: the run's labels in order; all others are errors.

    Raises:
        UserError: the file cannot be read, a column is missing, there are no rows, or a row is bad. Bad rows, and texts
            whose annotators have no majority, are never skipped here, as that would change the result.
    """
    source, name = _labelled_split(path)
    section = section.model_copy(update={"on_bad_row": "error"})
    labels, votes = LabelReader(section.label, label_names), VoteLog(section.label.annotators)
    split = _read_split(name, source, section, labels, votes, [], None)
    if votes.tied and votes.how == "majority":
        raise UserError(
            f"the annotators of {count(len(votes.tied), 'text')} gave two labels equally often, which decides nothing",
            where=votes.tied[0],
        )
    return split


def labels_in(path: Path, section: DataSection) -> tuple[str, ...]:
    """The labels of a labelled file or folder as `load_split` reads it, in the order that training would give them.

    Raises:
        UserError: the file cannot be read, or a column is missing.
    """
    labels = LabelReader(section.label)
    for row in _read_rows(_labelled_split(path)[0], section, labels.column):
        if isinstance(row, Row) and labels.column in row.fields:
            with suppress(ValueError):  # a bad row, which `load_split` names
                labels.read(row.fields[labels.column])
    return labels.sorted_names


def _labelled_split(path: Path) -> tuple[Table, str]:
    """The split of a labelled file, or the validation split of a folder, and its name."""
    if not path.exists():
        raise UserError("there is no such file", where=str(path), fix="Give a labelled file, such as test.tsv.")
    splits = open_source(str(path)).splits
    name = "validation" if path.is_dir() else "train"  # a single file is the source's train split
    if name not in splits:
        raise UserError("the folder has no validation split", where=str(path), fix="Give one of its files.")
    return splits[name], path.stem if path.is_file() else name


def split_validation(train: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Split train into (train, validation), with `fraction` of each class and all copies of a text on the same side.

    The choice depends only on the texts and the seed, not on the order of rows or on a library's random numbers.

    Raises:
        UserError: there are too few examples.
    """
    keys, first, group_of_row, sizes = np.unique(
        text_keys(train.texts), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(_mixed(keys ^ _mixed(np.array([seed], dtype=np.uint64))), kind="stable")
    group_labels = train.labels[first]  # copies with different labels count as the first one
    chosen = np.zeros(len(keys), dtype=bool)
    for label in np.unique(group_labels):
        groups = order[group_labels[order] == label]
        chosen[_fill(groups, sizes[groups], fraction)] = True
    in_validation = chosen[group_of_row]
    if not in_validation.any():
        raise UserError(
            f"train's {len(train)} examples are too few to make a validation split",
            where=train.file or train.name,
            fix="Add examples, or a validation file.",
        )
    return train.take(np.flatnonzero(~in_validation)), train.take(np.flatnonzero(in_validation), "validation")


def _fill(groups: npt.NDArray[np.intp], sizes: npt.NDArray[np.intp], fraction: float) -> npt.NDArray[np.intp]:
    """The first groups of a class that together make up `fraction` of its rows; at least one row remains."""
    target = min(max(round(float(sizes.sum()) * fraction), 1), int(sizes.sum()) - 1)
    chosen, filled = [], 0
    for group, size in zip(groups.tolist(), sizes.tolist(), strict=True):
        if filled + size <= target:
            chosen.append(group)
            filled += size
    return np.array(chosen, dtype=np.intp)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64: scatters 64-bit values, identically on every machine."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _read_split(
    name: str,
    source: Table,
    section: DataSection,
    labels: LabelReader,
    votes: VoteLog,
    bad_rows: list[BadRow],
    skip: str | None,
) -> Split:
    """Read one split. Bad rows raise a `BadRowError` (which documents `skip`), or are added to `bad_rows`."""
    columns, texts = _Columns(votes), text_columns(section)
    bad_before = len(bad_rows)
    for row in _read_rows(source, section, labels.column):
        bad = row if isinstance(row, BadRow) else columns.add(row, texts[0], labels)
        if bad is None:
            continue
        if section.on_bad_row == "error":
            raise BadRowError(bad, skip)
        bad_rows.append(bad)
    if not columns.rows:
        raise _empty_split(name, source, bad_rows[bad_before:], votes.unlabelled)
    if name != "train":
        return columns.split(name, source.name, None, len(labels.names))
    return columns.split(name, source.name, labels.finalize(), len(labels.names))


def _empty_split(name: str, source: Table, bad_rows: list[BadRow], unlabelled: int) -> UserError:
    if unlabelled and not bad_rows:
        reason = "; ".join(source.notes_after()) or f"{count(unlabelled, 'text')} without one"
        return UserError(f"no text of the {name} split has a label ({reason})", where=source.place)
    if not bad_rows:
        return UserError(f"the {name} split is empty", where=source.place)
    first = bad_rows[0]
    reason = f"all {len(bad_rows)} rows are bad, the first ({first.place}): {first.reason}"
    return UserError(f"the {name} split is empty: {reason}", where=source.place, fix=first.fix)


def _read_rows(source: Table, section: DataSection, label_column: str) -> Iterator[Row | BadRow]:
    """The rows of a split. The columns of the first row are checked."""
    headerless = (text_columns(section)[0], section.label.rating) if section.label.rating is not None else None
    checked = not source.fixed_columns
    for row in source.read(headerless):
        if not checked and isinstance(row, Row):
            checked = True
            for column, key in (*((text, "data.text") for text in text_columns(section)), (label_column, "data.label")):
                if column not in row.fields:
                    raise UserError(missing_column(column, list(row.fields)), where=source.place, fix=f"Set {key}.")
        yield row


class _Columns:
    """Collects the examples of a split: texts in a file of Arrow chunks, numbers in flat arrays."""

    def __init__(self, votes: VoteLog) -> None:
        self.rows, self._labels, self._ratings = array("q"), array("q"), array("d")
        self._votes = votes
        self._shares: dict[int, dict[int, float]] = {}  # index of an example -> shares of its classes, for `soft`
        self._texts = TextWriter()

    def add(self, row: Row, text_column: str, labels: LabelReader) -> BadRow | None:
        """Add one row, or return it as a bad row. A text without a label of annotators, or a majority, is left out."""
        try:
            text = _text(row.fields, text_column)
            if labels.column not in row.fields:
                raise ValueError(missing_column(labels.column, list(row.fields)))
            value = row.fields[labels.column]
            if isinstance(value, Votes):
                if not self._votes.add(labels.vote_names(value), row.place):
                    return None
                if self._votes.how == "soft":
                    self._shares[len(self.rows)] = labels.shares(value)
            label, rating = labels.read(value)
        except TiedVotesError:
            return None
        except ValueError as error:
            return BadRow(row.place, str(error))
        self._texts.add(text)
        self.rows.append(row.row)
        self._labels.append(label)
        if rating is not None:
            self._ratings.append(rating)
        return None

    def split(self, name: str, file: str, renumbered: npt.NDArray[np.int64] | None, classes: int) -> Split:
        labels = np.array(self._labels, dtype=np.int64)
        shares = share_matrix(labels, self._shares, classes) if self._shares else None
        if shares is not None and renumbered is not None:
            shares = shares[:, np.argsort(renumbered)]
        return Split(
            name=name,
            rows=np.array(self.rows, dtype=np.int64),
            texts=self._texts.finish(),
            labels=labels if renumbered is None else renumbered[labels],
            ratings=np.array(self._ratings, dtype=np.float64) if self._ratings else None,
            file=file,
            shares=shares,
        )


def _text(fields: dict[str, object], column: str) -> str:
    """The unchanged text of a row. Raises ValueError with the reason if there is none."""
    if column not in fields:
        raise ValueError(missing_column(column, list(fields)))
    text = fields[column]
    if text is None:
        raise ValueError("the text is missing")
    if not isinstance(text, str):
        raise ValueError(f"the text {text!r} is not text but {type(text).__name__}")
    if not text.strip():
        raise ValueError("the text is empty")
    if "\0" in text:
        raise ValueError("the text contains a NUL character")
    return text


def _class_notes(train: Split, names: tuple[str, ...], source: str) -> list[str]:
    """Notes about classes without examples in train. Raises UserError if train has only one class."""
    seen = np.bincount(train.labels, minlength=len(names)) > 0
    if seen.sum() < 2:
        raise UserError(
            f"every example in train is labelled {names[int(np.argmax(seen))]!r}: there is nothing to learn",
            where=source,
            fix="Check data.label and its threshold.",
        )
    return [f"train has no example of the label {names[index]!r}" for index in np.flatnonzero(~seen)]
