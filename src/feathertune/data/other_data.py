"""Other labelled data than a run was trained on, read by the rules of the run: for `evaluate --data`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from feathertune.data.columns import FIRST_ROWS, Resolved, read_head, resolve_for, text_columns
from feathertune.data.example import Split
from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.labels import LabelReader
from feathertune.data.rows import Row
from feathertune.data.sources import Source, file_settings, open_source
from feathertune.data.split_reader import SplitReader
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from feathertune.wording.numbers import count

_SOURCE = re.compile(r"""(['"]?)\bdata\.source=""")


def load_split(
    path: Path, section: DataSection, label_names: tuple[str, ...], say: Callable[[str], object] | None = None
) -> Split:
    """Read a labelled file by the rules of a finished run, as one split named after the file.

    Of several splits, the validation split is read.

    Args:
        path: the file or folder.
        section: the run's `data` section; its source is ignored.
        label_names: the run's labels in order; all others are errors.
        say: receives a sentence on each column that the file calls otherwise than the run's data does.

    Raises:
        UserError: the file cannot be read, a column is missing, there are no rows, or a row is bad. Bad rows are never
            skipped here, because that would change the result of an evaluation.
    """
    try:
        table, name, resolved = _labelled(path, section)
        if say is not None:
            for note in resolved.notes:
                say(f"{table.name}: {note}")
        own = resolved.section.model_copy(update={"on_bad_row": "error"})
        reader = SplitReader(own, LabelReader(own.label, label_names), resolved.names, None)
        split = reader.read(name, table)
    except UserError as error:
        raise _without_keys(error, section, path) from None
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
    table, _, resolved = _labelled(path, section)
    labels = LabelReader(resolved.section.label)
    for row in table.read(resolved.names):
        if isinstance(row, Row) and labels.column in row.fields:
            with suppress(ValueError):  # a bad row, which `load_split` names
                labels.read(row.fields[labels.column])
    return labels.sorted_names


def _labelled(path: Path, section: DataSection) -> tuple[Table, str, Resolved]:
    """The split of another labelled file, its name, and its columns, by the rules of the run.

    The file is read as its content says. What the run's recipe says about its own files counts where that is not
    enough: a sheet or a key of JSON if there is one of that name, all other settings if it cannot be read without.
    """
    own = file_settings(section)
    refused: dict[FileSettings, UserError] = {}
    for settings in dict.fromkeys((FileSettings(sheet=own.sheet, field=own.field), FileSettings(), own)):
        try:
            table, name = _labelled_split(path, settings)
            return table, name, _resolved_for_file(section, table)
        except UserError as error:
            refused[settings] = error
    raise refused[FileSettings()]


def _labelled_split(path: Path, settings: FileSettings) -> tuple[Table, str]:
    """The split of a labelled file, or the validation split of a folder, and its name."""
    if not path.exists():
        raise UserError("there is no such file", where=str(path), fix="Give a labelled file, such as test.tsv.")
    splits = open_source(str(path), None, settings).splits
    if list(splits) == ["train"]:  # all there is, such as a file or a folder of classes
        return splits["train"], path.stem if path.is_file() else path.name
    if "validation" not in splits:
        here = [table.place for table in splits.values() if table.place != str(path)]
        raise UserError(
            f"the {'folder' if path.is_dir() else 'file'} has no validation split, but {' and '.join(splits)}",
            where=str(path),
            fix=f"Give one of them: {' or '.join(here)}"
            if here
            else "Put the rows to evaluate into a file of their own.",
        )
    return splits["validation"], "validation"


def _without_keys(error: UserError, section: DataSection, path: Path) -> UserError:
    """The error with a fix for a file that is evaluated: no keys of a recipe, since the run is finished."""
    fix = _SOURCE.sub(r"--data \1", error.fix or "")
    if "data." not in fix:
        return UserError(error.what, where=error.where, fix=fix or None)
    label = section.label.column or section.label.rating or "label"
    names = ", ".join(map(repr, (*text_columns(section), label)))
    return UserError(
        error.what,
        where=error.where,
        fix=f"Give a csv file in UTF-8 with the columns of the run's data: {names}.\n  For texts without labels: "
        f"feathertune predict RUN --input {shlex.quote(str(path))}",
    )


def _resolved_for_file(section: DataSection, table: Table) -> Resolved:
    """The run's columns in another file; where it has no such columns, they are found."""
    wanted = {*text_columns(section), section.label.column or section.label.rating}
    if not table.headerless and wanted <= {column.name for column in read_head(table, FIRST_ROWS)}:
        return Resolved(section, None)
    own = {"own_columns": False, "own_names": section.label.column is not None}
    return resolve_for(section.model_copy(update=own), Source({"train": table}, {}))
