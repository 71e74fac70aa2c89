"""From the recipe's `data` section to a `Dataset`: read, check, label, and make a validation split if there is none.

Rows are streamed. Texts are kept in a memory-mapped file and numbers in flat arrays, so that a million rows are never a
million Python objects and need no more memory than their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from feathertune.data.columns import FIRST_ROWS, Resolved, read_head, resolve_for, text_columns
from feathertune.data.example import Dataset, Split
from feathertune.data.formats.format import Table
from feathertune.data.labels import LabelReader
from feathertune.data.rows import Row
from feathertune.data.sources import Source, file_settings, open_source
from feathertune.data.split_reader import SplitReader
from feathertune.data.unlabelled import is_unlabelled, unlabelled_note
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from feathertune.wording.numbers import count

_SKIP_IN_RECIPE = "data.on_bad_row=skip"
FEW_ROWS = 9  # so few texts may well have a label each


def load_dataset(section: DataSection, seed: int) -> Dataset:
    """Read all splits of a source. A missing validation split is made from train with `validation_seed` or `seed`.

    Raises:
        UserError: the source cannot be read, a column is missing, a row is bad (without `on_bad_row: skip`), a split is
            empty, or train has fewer than two labels.
    """
    source = open_source(section.source, section.revision, file_settings(section))
    resolved = resolve_for(section, source)
    section, labels = resolved.section, LabelReader(resolved.section.label)
    reader = SplitReader(section, labels, resolved.names, _SKIP_IN_RECIPE)
    splits: dict[str, Split] = {}
    notes = [*source.notes, *_file_notes(source), *resolved.notes]
    for name, table in source.splits.items():  # train comes first: it determines the labels
        if name == "test" and not section.test:
            continue
        if name != "train" and is_unlabelled(table, section, resolved.names):
            notes.append(unlabelled_note(name, table))
            continue
        splits[name] = reader.read(name, table)
    notes += [*reader.notes, *reader.votes.notes(), *_class_notes(splits["train"], labels.names, section.source)]
    made = "validation" not in splits
    if made:
        seed = seed if section.validation_seed is None else section.validation_seed
        train, validation = split_validation(splits["train"], section.validation_fraction, seed)
        splits = {"train": train, "validation": validation} | {k: v for k, v in splits.items() if k != "train"}
        notes.append(
            f"validation was made from train ({section.validation_fraction:.3g} of it, stratified, seed {seed})"
        )
    bad_rows = tuple(reader.bad_rows)
    formats = {table.name: table.format for table in source.splits.values() if table.format is not None}
    return Dataset(
        splits,
        labels.names,
        section.source,
        source.origin,
        bad_rows,
        tuple(notes),
        made,
        section,
        formats,
        reader.votes.counts(),
    )


def load_split(path: Path, section: DataSection, label_names: tuple[str, ...]) -> Split:
    """Read a labelled file by the rules of a finished run, as one split named after the file.

    For a folder with splits, the validation split is read.

    Args:
        path: the file or folder.
        section: the run's `data` section; its source is ignored.
        label_names: the run's labels in order; all others are errors.

    Raises:
        UserError: the file cannot be read, a column is missing, there are no rows, or a row is bad. Bad rows are never
            skipped here, because that would change the result of an evaluation.
    """
    table, name = _labelled_split(path)
    resolved = _resolved_for_file(section, table)
    section = resolved.section.model_copy(update={"on_bad_row": "error"})
    reader = SplitReader(section, LabelReader(section.label, label_names), resolved.names, None)
    split = reader.read(name, table)
    if reader.votes.tied and reader.votes.how == "majority":
        raise UserError(
            f"the annotators of {count(len(reader.votes.tied), 'text')} gave two labels equally often, which decides "
            "nothing",
            where=reader.votes.tied[0],
            fix="Leave such texts out of the file.",
        )
    return split


def labels_in(path: Path, section: DataSection) -> tuple[str, ...]:
    """The labels of a labelled file or folder as `load_split` reads it, in the order that training would give them.

    Raises:
        UserError: the file cannot be read, or a column is missing.
    """
    table = _labelled_split(path)[0]
    resolved = _resolved_for_file(section, table)
    labels = LabelReader(resolved.section.label)
    for row in table.read(resolved.names):
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


def _resolved_for_file(section: DataSection, table: Table) -> Resolved:
    """The run's columns in another file; where it has no such columns, they are found."""
    wanted = {*text_columns(section), section.label.column or section.label.rating}
    if not table.headerless and wanted <= {column.name for column in read_head(table, FIRST_ROWS)}:
        return Resolved(section, None)
    return resolve_for(section.model_copy(update={"own_columns": False}), Source({"train": table}, {}))


def _file_notes(source: Source) -> Iterator[str]:
    """What there is to know about how each file is read, once for files that are read alike."""
    said: dict[str, list[str]] = {}
    for table in source.splits.values():
        for note in table.notes:
            said.setdefault(note, []).append(table.name)
    several = len(source.splits) > 1
    return (f"{', '.join(names)}: {note}" if several else note for note, names in said.items())


def _class_notes(train: Split, names: tuple[str, ...], source: str) -> list[str]:
    """Notes about classes without examples in train. Raises UserError if train has only one class."""
    seen = np.bincount(train.labels, minlength=len(names)) > 0
    if seen.sum() < 2:
        raise UserError(
            f"every example in train is labelled {names[int(np.argmax(seen))]!r}: there is nothing to learn",
            where=source,
            fix="Check data.label and its threshold.",
        )
    if len(names) == len(train) > FEW_ROWS:
        raise UserError(
            f"there are as many labels as texts in train ({len(names):,}): is this a label?",
            where=source,
            fix="Name the column of labels: data.label.column=COLUMN",
        )
    return [f"train has no example of the label {names[index]!r}" for index in np.flatnonzero(~seen)]
