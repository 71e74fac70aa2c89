"""Recipes in files: read, changed by `key=value`, validated, written, and found by the names of those that ship."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from feathertune.errors import UserError, nearest
from feathertune.recipe.parsing import (
    apply_override,
    explain,
    fix_for,
    load_yaml,
    require_unique_keys,
)
from feathertune.recipe.schema import Recipe


def load_recipe(path: Path | str, overrides: list[str] | None = None) -> Recipe:
    """Read a YAML recipe, apply `key=value` overrides (values are YAML), and validate.

    Args:
        path: a YAML file, or the name of a recipe that Feathertune ships (see `find_recipe`).
        overrides: such as `training.epochs=3`.

    Raises:
        UserError: no such file, not YAML, a key that does not exist (the nearest right one is named), a wrong value.
    """
    path = Path(path) if Path(path).suffix else find_recipe(str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("there is no such recipe", where=str(path), fix=_shipped_recipes()) from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"cannot read the recipe: {error}", where=str(path)) from None
    return parse_recipe(text, overrides or [], where=str(path))


def parse_recipe(text: str, overrides: list[str], where: str) -> Recipe:
    """Validate a recipe's YAML text after the overrides. `where` names it in errors. Raises UserError."""
    values = load_yaml(text, where)
    require_unique_keys(text, where)
    if not isinstance(values, dict):
        raise UserError("a recipe is a mapping of sections (model, data, method, lora, training, ...)", where=where)
    overridden = [apply_override(values, override) for override in overrides]
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(explain(error, Recipe, text, overridden), where=where, fix=fix_for(error, Recipe)) from None


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, every default written out; `parse_recipe` reads it back as it was."""
    values = recipe.model_dump(mode="json")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if yaml.safe_load(text) == values:
        return text
    return yaml.safe_dump(values, sort_keys=False)  # escaped: as they are, PyYAML reads U+0085 and the like as spaces


def recipe_path(name: str) -> Path | None:
    """The recipe file `name` stands for, or None: a YAML file, or the name of one that Feathertune ships."""
    path = Path(name)
    return path if path.suffix in (".yaml", ".yml") else shipped_recipes().get(name)


def find_recipe(name: str) -> Path:
    """The recipe file `name` stands for: a YAML file, or the name of one that Feathertune ships (`quickstart`).

    Raises:
        UserError: neither; the nearest name is named.
    """
    path = recipe_path(name) or Path(name)
    if path.suffix or path.is_file():
        return path
    near = nearest(name, list(shipped_recipes()))
    raise UserError(
        f"there is no recipe {name!r}" + (f"; did you mean {near!r}?" if near else ""), fix=_shipped_recipes()
    )


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with Feathertune, in a wheel or in a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def _shipped_recipes() -> str:
    return "Give a YAML file, or the name of a shipped recipe: " + ", ".join(shipped_recipes()) + "."
