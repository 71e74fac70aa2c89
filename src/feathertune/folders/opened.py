"""A finished run, opened: its folder and its recipe, which is parsed once. An adapter's folder is opened as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feathertune.errors import UserError
from feathertune.folders.adapter import AdapterFolder, adapter_inside, adapter_recipe, is_adapter
from feathertune.folders.run import RunFolder, open_run
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import Recipe


@dataclass(frozen=True)
class OpenedRun:
    """A finished run, or an adapter as PEFT leaves it.

    Attributes:
        folder: names inside its folder.
        recipe: the run's recipe; of an adapter, what is known about it.
    """

    folder: RunFolder
    recipe: Recipe

    @property
    def is_adapter(self) -> bool:
        """Whether this is the folder of an adapter, without a run."""
        return isinstance(self.folder, AdapterFolder)

    @classmethod
    def at(cls, path: Path, settings: Sequence[str] = ()) -> OpenedRun:
        """Open the finished run, or the adapter, at `path`.

        A run's recipe without `model.special_tokens_in_text` is of a version that parsed them.

        Args:
            path: the folder.
            settings: `key=value`, for an adapter: the keys of a recipe about texts and labels.

        Raises:
            UserError: there is neither, the recipe is damaged, or settings are given for a run.
        """
        if is_adapter(path):
            return cls(AdapterFolder(path), adapter_recipe(path, list(settings)))
        if not RunFolder(path).recipe.is_file() and (inside := adapter_inside(path)) is not None:
            raise UserError(
                "this is neither a run folder nor that of an adapter", where=str(path), fix=f"Give {inside}."
            )
        folder = open_run(path)
        if settings:
            raise UserError(
                f"--set {settings[0]}: a run has its own recipe",
                where=str(path),
                fix="Leave --set out: it is for the folder of an adapter.",
            )
        recipe = load_recipe(folder.recipe)
        if "special_tokens_in_text" not in recipe.model.model_fields_set:
            model = recipe.model.model_copy(update={"special_tokens_in_text": "parse"})
            recipe = recipe.model_copy(update={"model": model})
        return cls(folder, recipe)
