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
        """Open the finished run at `path`. Raises UserError if there is none, or its recipe is damaged.

        A recipe without `model.special_tokens_in_text` is of a version that parsed them.
        """
        folder = open_run(path)
        recipe = load_recipe(folder.recipe)
        if "special_tokens_in_text" not in recipe.model.model_fields_set:
            model = recipe.model.model_copy(update={"special_tokens_in_text": "parse"})
            recipe = recipe.model_copy(update={"model": model})
        return cls(folder, recipe)
