"""What an output folder already holds, checked before anything is written to it.

Runs, comparisons and searches all keep their recipe as recipe.yaml. A command must not mistake another command's folder
for its own, or it would overwrite the recipe and report of a finished run.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Literal

from feathertune.errors import UserError
from feathertune.folders.comparison import ComparisonFolder
from feathertune.folders.run import RunFolder
from feathertune.folders.search import SearchFolder
from feathertune.recipe.files import dump_recipe, is_complete, load_recipe
from feathertune.recipe.schema import Recipe
from feathertune.system.temporary import is_new

Kind = Literal["run", "comparison", "search"]


def stored_recipe(path: Path, kind: Kind) -> Recipe | None:
    """The recipe of the run, comparison or search in the folder, finished or not; None if the folder is empty or new.

    A folder in which a process was killed before its first file was complete is new.

    Raises:
        UserError: the output is a file, or the folder holds anything but a `kind`.
    """
    if path.exists() and not path.is_dir():
        raise UserError("the output is a file, not a folder", where=str(path))
    if is_new(path):
        return None
    recipe, kind_here = RunFolder(path).recipe, _kind_in(path)
    if not recipe.is_file():
        raise _refused(f"is not empty and holds no {kind}", path)
    if kind_here not in (kind, None):
        raise _refused(f"holds a {kind_here}, not a {kind}", path)
    stored = load_recipe(recipe)
    if kind_here is None and not _is_ours(recipe.read_text(encoding="utf-8"), stored):
        raise _refused(f"is not empty and holds no {kind}: its recipe.yaml was written by hand", path)
    return stored


def take_back(path: Path, *names: str) -> None:
    """Remove these files and folders from the folder, and then the folder itself if it is empty."""
    for name in names:
        entry = path / name
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty
        path.rmdir()


def _kind_in(path: Path) -> Kind | None:
    """What was started in the folder; None if there is no more than a recipe."""
    run, comparison, search = RunFolder(path), ComparisonFolder(path), SearchFolder(path)
    if comparison.runs.is_dir() or comparison.comparison.is_file():
        return "comparison"
    if search.study.is_file() or search.result.is_file():
        return "search"
    return "run" if run.metrics.is_file() or run.summary.is_file() else None


def _is_ours(text: str, recipe: Recipe) -> bool:
    """Whether a command wrote this recipe.yaml, of this version or of one that quoted otherwise, and not a person."""
    return text == dump_recipe(recipe) or (is_complete(recipe) and "#" not in text)


def _refused(what: str, path: Path) -> UserError:
    return UserError(f"the output folder {what}", where=str(path), fix="Give another --output.")
