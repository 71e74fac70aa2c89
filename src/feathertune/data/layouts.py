"""Folders of labelled texts as people have them: which of their files make which split.

* `split/class/*.txt` and `class/*.txt`: a file is a text;
* `pos.txt`, `neg.txt`: a file is a class, a line is a text;
* `train_text.txt` and `train_labels.txt` (with `mapping.txt`): texts, labels and names in files of their own;
* files named after splits (`train.csv`, `Test.csv`, `my_train.csv`, `data/train-00000-of-00002.parquet`);
* a single file of data, whatever its name; and label tools' folders (Rasa's `nlu/*.yml`, Dialogflow's `intents`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import DATA_SUFFIXES, open_file
from feathertune.data.formats.split_names import SPLITS, split_in, split_of
from feathertune.data.rows import BadRow, Row
from feathertune.data.text_folders import (
    PACKED,
    TEXT_SUFFIXES,
    Layout,
    class_files,
    class_folders,
    paired_files,
    stem_of,
)
from feathertune.errors import UserError

_ANY = DATA_SUFFIXES | TEXT_SUFFIXES
_NO_DATA = re.compile(r"^(readme|license|licence|dataset_infos?|state|changelog|requirements|.*submission)\b", re.I)
_SHARD = re.compile(r"^(.*?)[-_](\d{4,5})-of-(\d{4,5})$")


def open_layout(folder: Path, settings: FileSettings) -> Layout:
    """The tables of a folder by split, the files they come from, and notes.

    Raises:
        UserError: the folder has no train split; what it has is listed.
    """
    files = _data_files(folder)
    named = any(split_in(stem_of(path.name)) == "train" for path in files)
    found = class_folders(folder, settings, splits_only=named) or paired_files(folder, settings)
    if found is not None:
        return found
    inner = folder / "data"
    if not any(split_in(stem_of(path.name)) for path in files) and inner.is_dir():
        files = sorted(path for path in inner.rglob("*") if path.is_file() and _may_be_data(path)) or files
    by_folder = _split_folders(folder, settings)
    if by_folder is not None:
        return by_folder
    if any(split_in(stem_of(path.name)) == "train" for path in files):
        return _split_files(folder, files, settings)
    for other in (_tool_files, class_files):
        found = other(folder, files, settings)
        if found is not None:
            return found
    if len(files) > 1 and len({_shards(path) for path in files} - {None}) == 1 and all(map(_shards, files)):
        return {"train": joined([_one_table(path, settings) for path in files], folder.name)}, files, []
    if len(files) == 1 and split_in(stem_of(files[0].name)) is None:
        tables = open_file(files[0], settings).tables
        return tables, files, [f"{files[0].name} is the only file of data: it is the train split"]
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))]
    if not files and len(folders) == 1:
        tables, files, notes = open_layout(folders[0], settings)
        return tables, files, [f"the data is that of the folder {folders[0].name}", *notes]
    raise _no_train(folder, files)


def _data_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and _may_be_data(path))


def joined(tables: Sequence[Table], name: str) -> Table:
    """Several files of the same columns as one table; a row keeps its file's place."""
    first = tables[0]

    def read(names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        return chain.from_iterable(table.read(names) for table in tables)

    return Table(
        first.place,
        name,
        read,
        all(table.fixed_columns and table.columns == first.columns for table in tables),
        first.format,
        first.columns if all(table.columns == first.columns for table in tables) else None,
        first.roles,
        tuple(dict.fromkeys(note for table in tables for note in table.notes)),
        lambda: tuple(note for table in tables for note in table.notes_after()),
    )


def _may_be_data(path: Path) -> bool:
    if path.name.startswith((".", "_")) or _NO_DATA.match(path.name):
        return False
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in PACKED]
    last = suffixes[-1] if suffixes else ""
    return (
        last in _ANY
        or last in (".yml", ".yaml")
        or (split_in(stem_of(path.name)) is not None and last in ("", ".label"))
    )


def _split_files(folder: Path, files: Sequence[Path], settings: FileSettings) -> Layout:
    """Files named after splits; shards of a split are joined."""
    by_split: dict[str, list[Path]] = {}
    notes = [
        f"{path.name} is not read: it is not named after a split"
        for path in files
        if split_in(stem_of(path.name)) is None
    ]
    for path in files:
        split = split_in(stem_of(path.name))
        if split is not None:
            by_split.setdefault(split, []).append(path)
    for split in SPLITS:
        paths = by_split.get(split, [])
        if len(paths) > 1 and not _are_shards(paths):
            ways = " or ".join(f"data.source={path}" for path in by_split["train"][:3])
            raise UserError(
                f"{paths[0].name} and {paths[1].name} are both the {split} split",
                where=str(folder),
                fix=f"Keep one, or name the file to train on: {ways}",
            )
    tables: dict[str, Table] = {}
    for split in SPLITS:
        paths = by_split.get(split, [])
        if paths:
            opened = [_one_table(path, settings) for path in paths]
            tables[split] = opened[0] if len(opened) == 1 else joined(opened, f"{split} ({len(opened)} files)")
    return tables, [path for split in SPLITS for path in by_split.get(split, [])], notes


def _split_folders(folder: Path, settings: FileSettings) -> Layout | None:
    """`train/data-00000-of-00001.arrow`, as `datasets` saves: folders named after splits, with files of data."""
    tables: dict[str, Table] = {}
    used: list[Path] = []
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        split = split_of(inner.name)
        if split is None or split in tables:
            continue
        files = _data_files(inner)
        texts = paired_files(inner, settings) or class_files(inner, files, settings)
        if texts is not None:
            tables[split] = replace(texts[0]["train"], name=split)
            used += texts[1]
        elif files:
            opened = [_one_table(path, settings) for path in files]
            tables[split] = opened[0] if len(opened) == 1 else joined(opened, f"{split} ({len(opened)} files)")
            used += files
    if "train" not in tables:
        return None
    return {split: tables[split] for split in SPLITS if split in tables}, used, []


def _are_shards(paths: Sequence[Path]) -> bool:
    """Whether files are the parts of one: `train-00000-of-00002`, numbered without gaps."""
    parts = [_SHARD.match(stem_of(path.name)) for path in paths]
    return all(parts) and len({(part[1], part[3]) for part in parts if part}) == 1


def _shards(path: Path) -> str | None:
    """What a shard is a part of: `data` of data-00000-of-00002.arrow."""
    match = _SHARD.match(stem_of(path.name))
    return match and match[1]


def _one_table(path: Path, settings: FileSettings) -> Table:
    tables = open_file(path, settings).tables
    if len(tables) > 1 or not tables:
        raise UserError(
            f"the file has splits of its own ({', '.join(tables)}), although it is one of several files",
            where=str(path),
            fix=f"Name it: data.source={path}",
        )
    return next(iter(tables.values()))


def _tool_files(folder: Path, files: Sequence[Path], settings: FileSettings) -> Layout | None:
    """Label tools' folders: all files of one tool together."""
    found = sorted(
        {
            *(path for path in files if path.suffix in (".yml", ".yaml")),
            *folder.glob("nlu/*.y*ml"),
            *folder.glob("data/nlu/*.y*ml"),
        }
    )
    found = found or sorted(
        path for path in (*folder.glob("*_usersays_*.json"), *folder.glob("intents/*_usersays_*.json"))
    )
    tables = [table for table in map(_quietly(settings), found) if table is not None and table.roles is not None]
    if not tables:
        return None
    names = {table.format.tool for table in tables if table.format is not None}
    used = [path for path in found if str(path) in {table.place for table in tables}]
    note = f"{len(used)} files of {', '.join(sorted(filter(None, names)))} are read together"
    return {"train": joined(tables, folder.name)}, used, [note]


def _quietly(settings: FileSettings) -> Callable[[Path], Table | None]:
    def open_one(path: Path) -> Table | None:
        try:
            return _one_table(path, settings)
        except UserError:  # a tool's folder has files of other things, too, such as its stories
            return None

    return open_one


def _no_train(folder: Path, files: Sequence[Path]) -> UserError:
    there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    listed = ", ".join(f"{path.name}/" if path.is_dir() else path.name for path in there[:20]) or "nothing"
    more = f" and {len(there) - 20} more" if len(there) > 20 else ""
    way = f" Name one: data.source={files[0]}" if files else ""
    return UserError(
        f"the folder has no train file; it has {listed}{more}",
        where=str(folder),
        fix="It needs `train`, and may have `dev` or `validation`, and `test`, in files or folders named after them."
        + way,
    )
