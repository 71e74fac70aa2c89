"""What an output folder holds already, asked before anything is written into it.

Runs, comparisons and searches all keep their recipe as recipe.yaml, so a command must not take another's folder for its
own: it would write over a finished run's recipe and report.
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
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.recipe.schema import Recipe

Kind = Literal["run", "comparison", "search"]


def stored_recipe(path: Path, kind: Kind) -> Recipe | None:
    """The recipe of the `kind` that the folder holds, begun or finished; None where there is nothing yet.

    Raises:
        UserError: the output is a file, or the folder holds anything else.
    """
    if path.exists() and not path.is_dir():
        raise UserError("the output is a file, not a folder", where=str(path))
    if not path.is_dir() or not any(path.iterdir()):
        return None
    recipe, found = RunFolder(path).recipe, _kind_in(path)
    if not recipe.is_file():
        raise _holds(f"is not empty and holds no {kind}", path)
    if found not in (kind, None):
        raise _holds(f"holds a {found}, no {kind}", path)
    stored = load_recipe(recipe)
    if found is None and dump_recipe(stored) != recipe.read_text(encoding="utf-8"):
        raise _holds(f"is not empty and holds no {kind}: its recipe.yaml is one that somebody wrote", path)
    return stored


def take_back(path: Path, *names: str) -> None:
    """Remove these files and folders from the folder, and the folder where nothing else is in it."""
    for name in names:
        entry = path / name
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    with suppress(OSError):  # there is something else in it
        path.rmdir()


def _kind_in(path: Path) -> Kind | None:
    """What was begun in the folder, or None where there is no more than a recipe."""
    run, comparison, search = RunFolder(path), ComparisonFolder(path), SearchFolder(path)
    if comparison.runs.is_dir() or comparison.comparison.is_file():
        return "comparison"
    if search.study.is_file() or search.result.is_file():
        return "search"
    return "run" if run.metrics.is_file() or run.summary.is_file() else None


def _holds(what: str, path: Path) -> UserError:
    return UserError(f"the output folder {what}", where=str(path), fix="Give another --output.")
