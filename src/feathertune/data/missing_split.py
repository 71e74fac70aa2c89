"""The errors of folders whose splits are unclear: what was found, and lines to type that read one of the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from feathertune.data.file_names import ARCHIVES, is_no_data, is_submission, is_table_name, is_yaml, visible
from feathertune.errors import UserError
from feathertune.recipe.parsing import typed
from feathertune.wording.size import size

_LISTED, _PROPOSED = 20, 4


def two_for_one(split: str, paths: Sequence[Path], train: Sequence[Path] = ()) -> UserError:
    """The error for several files, or folders, that are all the same split; `train` are those of train."""
    more = f" (and {len(paths) - 2} more)" if len(paths) > 2 else ""
    proposed = paths if split == "train" else train
    alone = (
        f", or name one: {_lines(proposed)}" if split == "train" else f", or train on this alone: {_lines(proposed)}"
    )
    return UserError(
        f"{paths[0].name} and {paths[1].name}{more} are both the {split} split",
        where=str(paths[0].parent),
        fix=f"Keep one of them in the folder{alone if proposed else '.'}",
    )


def no_train(folder: Path) -> UserError:
    """The error for a folder without a split to train on."""
    there = visible(folder)
    if not there:
        return UserError("the folder has no train file: it is empty", where=str(folder))
    listed = ", ".join(map(_described, there[:_LISTED]))
    more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
    tables = [path for path in there if path.is_file() and is_table_name(path) and not is_submission(path)]
    texts = [path for path in there if path.suffix in (".txt", "") and path.is_file() and not is_no_data(path)]
    folders = [path for path in there if path.is_dir() and any(map(_is_promising, visible(path)))]
    proposed = [*(tables or texts), *folders]
    way = f" Or name one: {_lines(proposed)}" if proposed else ""
    return UserError(
        f"the folder has no train file; found: {listed}{more}",
        where=str(folder),
        fix="Name its files, or folders, after splits: `train`, and if there are any `dev` or `validation`, and `test`."
        + way,
    )


def _lines(paths: Sequence[Path]) -> str:
    lines = [typed("data.source", str(path)) for path in paths[:_PROPOSED]]
    return " or ".join(lines)


def _described(path: Path) -> str:
    if path.is_dir():
        return f"{path.name}/"
    if ARCHIVES & set(path.suffixes):
        return f"{path.name} (an archive: unpack it)"
    return f"{path.name} ({size(path.stat().st_size)})"


def _is_promising(path: Path) -> bool:
    """Whether what is in a folder may be data."""
    return path.is_dir() or is_table_name(path) or is_yaml(path) or path.suffix == ".txt"
