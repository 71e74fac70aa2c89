"""What was found in a folder of data, split by split: tables, the files that they come from, notes for the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import open_file
from feathertune.data.joined import joined
from feathertune.data.missing_split import two_for_one
from feathertune.data.text_folders import (
    Pair,
    are_tables,
    names_of_labels,
    table_of_class_files,
    table_of_pair,
    table_of_texts,
)
from feathertune.errors import UserError

Choice = Pair | dict[str, Path] | list[Path]  # texts and labels; label -> file of lines; files of one table


@dataclass
class Layout:
    """What a folder holds: a table for each split, the files that they come from, notes for the user."""

    tables: dict[str, Table] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, split: str, table: Table, files: Sequence[Path]) -> None:
        """Add the table of a split, which comes from these files."""
        self.tables[split] = table
        self.files += [path for path in files if path not in self.files]

    def leave_out(self, files: Sequence[Path], reason: str) -> None:
        """Note that files are not read."""
        if files:
            verb = "is" if len(files) == 1 else "are"
            listed = ", ".join(path.name for path in files[:5]) + (", ..." if len(files) > 5 else "")
            self.notes.append(f"{listed} {verb} not read: {reason}")


def add_choice(layout: Layout, split: str, choice: Choice, folder: Path, settings: FileSettings) -> None:
    """Add a split whose files in `folder` are chosen."""
    if isinstance(choice, Pair):
        _add_pair(layout, split, choice, (folder, folder.parent), settings)
    elif isinstance(choice, dict):
        if are_tables(list(choice.values()), settings):
            raise two_for_one(split, list(choice.values()))
        _add_classes(layout, split, folder, choice, settings)
    else:
        if len(choice) > 1:
            listed = ", ".join(path.name for path in choice[:5]) + (", ..." if len(choice) > 5 else "")
            layout.notes.append(f"{listed} are read together as the {split} split")
        _add_tables(layout, split, choice, settings)


def _add_tables(layout: Layout, split: str, paths: Sequence[Path], settings: FileSettings) -> None:
    tables = []
    for path in paths:
        opened = open_file(path, settings).tables
        if split not in opened and len(opened) > 1:
            raise UserError(
                f"the {split} split has splits of its own: {', '.join(opened)}",
                where=str(path),
                fix="Keep the rows of one split in it.",
            )
        tables.append(opened[split] if split in opened else next(iter(opened.values())))
    whole = tables[0] if len(tables) == 1 else joined(tables, f"{split} ({len(tables)} files)")
    layout.add(split, whole, paths)


def _add_pair(layout: Layout, split: str, pair: Pair, places: Sequence[Path], settings: FileSettings) -> None:
    """Add a split of texts and labels in two files; names of labels are looked for in `places`."""
    named = (names_of_labels(place, pair.labels, settings) for place in places)
    names, file = next((found for found in named if found[1] is not None), ({}, None))
    layout.add(split, table_of_pair(pair, names, settings), [pair.texts, pair.labels, *([file] if file else [])])
    if split == "train" and file is not None:
        layout.notes.append(f"the labels' names are those of {file.name}")


def _add_classes(layout: Layout, split: str, folder: Path, classes: dict[str, Path], settings: FileSettings) -> None:
    layout.add(split, table_of_class_files(folder, split, classes, settings), list(classes.values()))
    listed = ", ".join(f"{path.name} ({label})" for label, path in classes.items())
    layout.notes.append(f"each file is a class, and each line a text: {listed}")


def add_texts(layout: Layout, split: str, folder: Path, classes: dict[str, list[Path]], settings: FileSettings) -> None:
    """Add a split whose texts are files: label -> files."""
    files = [path for paths in classes.values() for path in paths]
    layout.add(split, table_of_texts(folder, folder.name, classes, settings), files)
    listed = ", ".join(f"{label} ({len(paths):,})" for label, paths in list(classes.items())[:5])
    more = ", ..." if len(classes) > 5 else ""
    layout.notes.append(f"{split}: each folder is a class, and each file in it a text: {listed}{more}")
