"""From the recipe's `data` section to a `Dataset`: read, check, label, and make a validation split if there is none.

Rows are streamed. Texts are kept in a memory-mapped file and numbers in flat arrays, so that a million rows are never a
million Python objects and need no more memory than their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from feathertune.data.columns import resolve_for
from feathertune.data.example import Dataset, Split
from feathertune.data.labels import LabelReader
from feathertune.data.sources import Source, file_settings, open_source
from feathertune.data.split_reader import SplitReader
from feathertune.data.unlabelled import is_unlabelled, unlabelled_note
from feathertune.data.validation_split import split_validation
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection

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
    # A file without a header has the columns of train, whether train's have names of their own or were given some.
    names = resolved.names or source.splits["train"].columns
    reader = SplitReader(section, labels, names, _SKIP_IN_RECIPE)
    splits: dict[str, Split] = {}
    notes = [*source.notes, *_file_notes(source), *resolved.notes]
    for name, table in source.splits.items():  # train comes first: it determines the labels
        if name == "test" and not section.test:
            continue
        if name != "train" and is_unlabelled(table, section, names):
            notes.append(unlabelled_note(name, table, labels.column))
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
