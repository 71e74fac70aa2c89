"""A finished run, opened: its folder and its recipe, which is parsed once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feathertune.folders.run import RunFolder, open_run
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import Recipe


@dataclass(frozen=True)
class OpenedRun:
    """A finished run.

    Attributes:
        folder: names inside its folder.
        recipe: the run's recipe.
    """

    folder: RunFolder
    recipe: Recipe

    @classmethod
    def at(cls, path: Path) -> OpenedRun:
        """Open the finished run at `path`. Raises UserError if there is none, or its recipe is damaged."""
        folder = open_run(path)
        return cls(folder, load_recipe(folder.recipe))
