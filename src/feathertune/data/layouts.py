"""Folders of labelled texts as people have them: which of their files make which split.

* files named after splits (`train.csv`, `Test.csv`, `my_train.csv`, `data/train-00000-of-00002.parquet`), or folders
  (`train/part-1.csv`);
* `split/class/*.txt` and `class/*.txt`: a file is a text;
* `pos.txt`, `neg.txt`, and `train_pos.txt`, `train_neg.txt`: a file is a class, a line is a text;
* `train_text.txt` and `train_labels.txt` (with `mapping.txt`): texts, labels and names in files of their own;
* label tools' folders (Rasa's `data/nlu/*.yml`, Dialogflow's `intents`);
* a single file of data, whatever its name.

Files are chosen by their names; only where names leave it open are they opened to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from feathertune.data.file_names import (
    holds_labels,
    holds_names,
    in_parts,
    in_shards,
    is_eval_name,
    is_line_name,
    is_no_data,
    is_submission,
    is_table_name,
    is_yaml,
    may_be_split,
    stem_of,
    visible,
)
from feathertune.data.formats.format import FileSettings
from feathertune.data.formats.opening import open_file
from feathertune.data.formats.split_names import SPLITS, split_in, split_of
from feathertune.data.joined import joined
from feathertune.data.layout import Choice, Layout, add_choice, add_texts
from feathertune.data.missing_split import no_train, two_for_one
from feathertune.data.split_column import by_split_column
from feathertune.data.text_folders import UNLABELLED, are_tables, find_class_files, find_pair, texts_by_class
from feathertune.errors import UserError


def open_layout(folder: Path, settings: FileSettings) -> Layout:
    """The splits of a folder.

    Raises:
        UserError: it has no train split (what it has is listed, with lines to type), two files for one split, or a
            file that cannot be read.
    """
    for find in (_splits, _classes, _tool, _class_files, _pair, _alone, _inner):
        layout = find(folder, settings)
        if layout is not None:
            return layout
    raise no_train(folder)


def _splits(folder: Path, settings: FileSettings) -> Layout | None:
    """Files and folders named after splits."""
    entries = [path for path in visible(folder) if path.is_dir() or (may_be_split(path) and not is_submission(path))]
    by_split: dict[str, list[Path]] = {}
    for path in entries:
        split = split_in(stem_of(path) if path.is_file() else path.name)
        if split is not None and not (path.is_dir() and _is_no_split(path)):
            by_split.setdefault(split, []).append(path)
    if "train" not in by_split:
        return None
    # Chosen before any is opened: two files for one split are a mistake whatever is in them.
    chosen = {split: _choose(split, by_split[split], by_split["train"]) for split in SPLITS if split in by_split}
    layout = Layout()
    for split, choice in chosen.items():
        if isinstance(choice, Path):
            _add_folder(layout, split, choice, settings)
        else:
            add_choice(layout, split, choice, folder, settings)
            named = [path for path in by_split[split] if path.is_file()]
            layout.leave_out([path for path in named if path not in layout.files], f"the {split} split is in others")
        used = [path for path in by_split[split] if path == choice or path in layout.files]
        if split == "validation" and any(map(is_eval_name, used)):
            layout.notes.append(f"{used[0].name} is taken for the validation split, not for a test")
    others = [path for path in visible(folder) if path.is_file() and (is_table_name(path) or is_submission(path))]
    left = [path for path in others if path not in layout.files and split_in(stem_of(path)) is None]
    layout.leave_out([path for path in left if not is_submission(path)], "it has no word for a split in its name")
    layout.leave_out([path for path in left if is_submission(path)], "a submission is no data")
    names = [path for path in visible(folder) if path.is_file() and holds_names(path) and path not in layout.files]
    layout.leave_out(names, "names of labels are set as in data.label.map={1: sports}")
    return layout


def _is_no_split(folder: Path) -> bool:
    """Whether a folder that is named after a split is empty, or has files named after several splits."""
    inner = visible(folder)
    named = {split_in(stem_of(path)) for path in inner if path.is_file() and may_be_split(path)}
    return not inner or len(named - {None}) > 1


def _choose(split: str, paths: Sequence[Path], train: Sequence[Path]) -> Choice | Path:
    """Which of the files and folders named after a split are it, by their names. Raises a UserError if it is unclear.

    The result is a folder if there are no files.
    """
    files = [path for path in paths if path.is_file()]
    if not files:
        folders = [path for path in paths if split_of(path.name)] or list(paths)
        if len(folders) > 1:
            raise two_for_one(split, folders, train)
        return folders[0]
    choice = _together(files)
    if choice is None:
        choice = [path for path in files if split_of(stem_of(path)) == split]
        if len(choice) != 1:
            raise two_for_one(split, choice or files, train)
    return choice


def _together(files: list[Path]) -> Choice | None:
    """How the files of a split belong together; None if they do not."""
    shards = in_shards(files)
    if shards is not None or len(files) == 1:
        return shards or files
    return find_pair(files) or find_class_files(files) or in_parts(files)


def _add_folder(layout: Layout, split: str, inner: Path, settings: FileSettings) -> None:
    """Add a split from the folder that is named after it."""
    classes = texts_by_class(inner)
    files = [path for path in visible(inner) if path.is_file() and not is_no_data(path)]
    if classes:
        for name in [name for name in classes if name.casefold() in UNLABELLED]:
            layout.notes.append(f"{inner.name}/{name} is left out: {len(classes.pop(name)):,} texts without a label")
        add_texts(layout, split, inner, classes, settings)
        layout.leave_out(files, "the texts of the classes are in folders")
        return
    tables = [path for path in files if is_table_name(path)] or [path for path in files if may_be_split(path)]
    choice = find_pair(files) or find_class_files(files) or (_together(tables) if tables else None)
    if choice is None:
        raise two_for_one(split, tables) if tables else no_train(inner)
    add_choice(layout, split, choice, inner, settings)


def _classes(folder: Path, settings: FileSettings) -> Layout | None:
    """`class/*.txt`."""
    classes = texts_by_class(folder)
    layout = Layout()
    for name in [name for name in classes if name.casefold() in UNLABELLED]:
        layout.notes.append(f"{name} is left out: {len(classes.pop(name)):,} texts without a label")
    if len(classes) < 2:
        return None
    add_texts(layout, "train", folder, classes, settings)
    others = [path for path in visible(folder) if path.is_file() and is_table_name(path)]
    layout.leave_out(others, "the texts of the classes are in folders")
    return layout


def _tool(folder: Path, settings: FileSettings) -> Layout | None:
    """Label tools' folders: Rasa's and Dialogflow's files of examples, read together."""
    places = [folder, *(folder / inner for inner in ("data", "data/nlu", "nlu", "intents"))]
    there = [path for place in places if place.is_dir() for path in visible(place) if path.is_file()]
    tables_there = any(path.parent == folder and is_table_name(path) for path in there)
    found = [path for path in there if is_yaml(path) or path.suffix == ".md"] if not tables_there else []
    found = found or [path for path in there if "_usersays_" in path.name and path.suffix == ".json"]
    layout, tables = Layout(), []
    for path in found:
        try:
            table = open_file(path, settings).tables["train"]
        except UserError:  # a tool's folder has files of other things, too, such as its stories
            continue
        if table.roles is not None:
            tables.append(table)
            layout.files.append(path)
    if not tables:
        return None
    layout.tables["train"] = tables[0] if len(tables) == 1 else joined(tables, folder.name)
    tools = sorted({table.format.tool for table in tables if table.format is not None and table.format.tool})
    if len(tables) > 1:
        layout.notes.append(f"{len(tables)} files of {', '.join(tools)} are read together")
    return layout


def _class_files(folder: Path, settings: FileSettings) -> Layout | None:
    """`pos.txt` and `neg.txt`, or `rt-polarity.pos` and `rt-polarity.neg`."""
    files = [path for path in visible(folder) if path.is_file() and not is_no_data(path) and not holds_names(path)]
    classes = None if any(map(is_table_name, files)) else find_class_files(files)
    if classes is None or are_tables(list(classes.values()), settings):
        return None
    layout = Layout()
    add_choice(layout, "train", classes, folder, settings)
    return layout


def _pair(folder: Path, settings: FileSettings) -> Layout | None:
    """`texts.txt` and `labels.txt`."""
    pair = find_pair([path for path in visible(folder) if path.is_file() and not is_no_data(path)])
    names = [path for path in visible(folder) if path.is_file() and holds_names(path) and not holds_labels(path)]
    if pair is None or pair.texts in names:
        files = [path for path in visible(folder) if path.is_file() and path not in names and not is_no_data(path)]
        pair = find_pair(files)
    if pair is None:
        return None
    layout = Layout()
    add_choice(layout, "train", pair, folder, settings)
    return layout


def _alone(folder: Path, settings: FileSettings) -> Layout | None:
    """A single file of data, unless a folder beside it has more."""
    files = [path for path in visible(folder) if path.is_file() and not is_no_data(path) and not is_submission(path)]
    files = [path for path in files if split_in(stem_of(path)) in (None, "train")]
    tables = [path for path in files if is_table_name(path)] or [path for path in files if is_line_name(path)]
    inner = any(is_table_name(path) for one in visible(folder) if one.is_dir() for path in visible(one))
    shards = in_shards(tables) if tables else None
    if shards is not None and len(shards) > 1:
        layout = Layout()
        add_choice(layout, "train", shards, folder, settings)
        return layout
    if len(tables) != 1 or inner:
        return None
    layout = Layout(files=tables, notes=[f"{tables[0].name} is the only file of data: it is the train split"])
    opened = open_file(tables[0], settings).tables
    layout.tables = by_split_column(opened["train"]) if set(opened) == {"train"} else opened
    if "train" not in layout.tables:
        raise UserError(f"the file has no train split, only {', '.join(opened)}", where=str(tables[0]))
    return layout


def _inner(folder: Path, settings: FileSettings) -> Layout | None:
    """The only folder in a folder, or its folder `data`, as in a dataset of the Hub."""
    folders = [path for path in visible(folder) if path.is_dir()]
    inner = next((path for path in folders if path.name == "data"), folders[0] if len(folders) == 1 else None)
    if inner is None or any(is_table_name(path) for path in visible(folder) if path.is_file()):
        return None
    return open_layout(inner, settings)
