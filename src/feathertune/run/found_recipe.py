"""The recipe to train with on data that was inspected: what was found in the file, written down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feathertune.data.example import Dataset
from feathertune.data.formats.format import FileFormat
from feathertune.errors import UserError
from feathertune.recipe.files import load_recipe, parse_recipe, shipped_recipes
from feathertune.recipe.schema import Recipe
from feathertune.recipe.yaml_text import dump_yaml
from feathertune.system.files import write_text
from feathertune.wording.visible import visible

SETTINGS = "quickstart"  # the shipped recipe whose settings are taken


def check_new_recipe(path: Path) -> None:
    """Raise a UserError if a recipe cannot be written to `path`."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UserError("a recipe is a YAML file", where=str(path), fix=f"Give {path.with_suffix('.yaml')}.")
    if path.exists():
        raise UserError("there is such a file already", where=str(path), fix="Give another name, or remove it.")


def write_found_recipe(recipe: Recipe, dataset: Dataset, path: Path, *, source: str, bare: bool) -> None:
    """Write a recipe that trains on a dataset, with its columns, its labels and how its files are read.

    Args:
        recipe: what was inspected.
        dataset: what was found.
        path: a new YAML file.
        source: what was given to `inspect data`, for the comment.
        bare: whether that was data and no recipe; then the settings are the quickstart's.

    Raises:
        UserError: see `check_new_recipe`.
    """
    check_new_recipe(path)
    settings = load_recipe(shipped_recipes()[SETTINGS]) if bare else recipe
    values = settings.model_dump(mode="json", exclude_unset=True)
    values["model"] = recipe.model.model_dump(mode="json", exclude_defaults=True)
    section = recipe.data if dataset.section is None else dataset.section
    data = section.model_dump(mode="json", exclude_defaults=True)
    values["data"] = {"source": section.source, **_file_keys(dataset.formats), **data}
    of = f"; model and settings are those of {SETTINGS}" if bare else ""
    comment = f"# Made by `feathertune inspect data {visible(source)} --write-recipe`{of}.\n"
    text = comment + f"# feathertune train {visible(str(path))}\n{dump_yaml(values)}"
    parse_recipe(text, [], where=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _file_keys(formats: Mapping[str, FileFormat]) -> dict[str, Any]:
    """How text files with separators are read, if all are read alike; other kinds say it themselves."""
    different = set(formats.values())
    if len(different) != 1:
        return {}
    found = different.pop()
    if found.kind != "csv" or found.tool is not None or found.separator is None:
        return {}
    keys: dict[str, Any] = {"format": "csv", "separator": found.separator, "quote": found.quote}
    keys |= {"escape": found.escape, "header": found.header, "encoding": found.encoding}
    return {key: value for key, value in keys.items() if value is not None}
