"""Recipes in files: reading, overriding by `key=value`, validating, writing, and finding shipped ones by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from feathertune.errors import UserError, nearest
from feathertune.recipe.data_files import YAML_SUFFIXES, data_is_no_recipe, is_data, names_data
from feathertune.recipe.parsing import apply_override, explain, fix_for
from feathertune.recipe.schema import Recipe
from feathertune.recipe.yaml_text import dump_yaml, load_yaml

# What only a column of labels has, so that an override with it means another label than a recipe's rating.
_OF_LABELS = ("has", "map", "missing", "merge_case")
# What a recipe says about where labels come from, which another column of labels replaces.
_OF_A_RATING = ("column", "rating", "above", "at_least", "names", "soft", "raters")


def load_recipe(path: Path | str, overrides: list[str] | None = None) -> Recipe:
    """Read a YAML recipe, apply `key=value` overrides (values are YAML), and validate.

    Args:
        path: a YAML file, or the name of a recipe that Feathertune ships (see `find_recipe`).
        overrides: such as `training.epochs=3`.

    Raises:
        UserError: there is no such file, it is data, it is not YAML, a key does not exist (the nearest one that does is
            named), or a value is wrong.
    """
    path = find_recipe(str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("there is no such recipe", where=str(path), fix=_shipped_recipes()) from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"cannot read the recipe: {error}", where=str(path)) from None
    return parse_recipe(text, overrides or [], where=str(path))


def parse_recipe(text: str, overrides: list[str], where: str) -> Recipe:
    """Validate a recipe's YAML text after the overrides. `where` names it in errors. Raises UserError.

    Where the overrides change `data.source`, what the recipe says about its own source's columns counts only as far as
    the new source has them: see `DataSection.own_columns`.
    """
    values = load_yaml(text, where)
    if not isinstance(values, dict):
        raise UserError("a recipe is a mapping of sections (model, data, method, lora, training, ...)", where=where)
    own = _leave_source(values, overrides)
    overridden = [apply_override(values, override) for override in overrides]
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(explain(error, Recipe, values, overridden), where=where, fix=fix_for(error, Recipe)) from None
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=own)}) if own else recipe


def _leave_source(values: dict[str, Any], overrides: list[str]) -> dict[str, bool | str]:
    """Prepare a recipe's values for overrides with another source: drop its revision, and its label if they name one.

    Returns `own_columns` and `own_names` of `DataSection`, or nothing if the source is the recipe's own.
    """
    keys = {key.strip(): value for key, _, value in (override.partition("=") for override in overrides)}
    data = values.get("data")
    if (
        not isinstance(data, dict)
        or "data" in keys
        or keys.get("data.source", data.get("source")) == data.get("source")
    ):
        return {}
    if "data.revision" not in keys:
        data.pop("revision", None)
    named = ("data.label", "data.label.column", "data.label.rating")
    label_named = not keys.keys().isdisjoint(named) or _about_labels(keys)
    if label_named and isinstance(data.get("label"), dict):
        for key in _OF_A_RATING:
            data["label"].pop(key, None)
    own_columns: dict[tuple[bool, bool], bool | str] = {
        (True, True): True,
        (True, False): "text",
        (False, True): "label",
    }
    return {
        "own_columns": own_columns.get(("data.text" in keys, label_named), False),
        "own_names": "data.label.names" in keys,
    }


def _about_labels(keys: dict[str, str]) -> bool:
    """Whether overrides are about labels of a column, not about the two classes of a rating."""
    if not keys.keys().isdisjoint(f"data.label.{key}" for key in _OF_LABELS):
        return True
    names = load_yaml(keys.get("data.label.names", "null"), "data.label.names")
    return isinstance(names, list) and len(names) > 2


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, every default written out; `parse_recipe` reads it back as it was."""
    return dump_yaml(recipe.model_dump(mode="json"))


def is_complete(part: BaseModel) -> bool:
    """Whether a recipe gives every key, as `dump_recipe` does; people leave most of them at their defaults."""
    keys = {name for name, field in type(part).model_fields.items() if not field.exclude}
    values = [getattr(part, name) for name in keys]
    values += [one for value in values if isinstance(value, dict) for one in value.values()]
    inner = (value for value in values if isinstance(value, BaseModel))
    return part.model_fields_set >= keys and all(map(is_complete, inner))


def recipe_path(name: str) -> Path | None:
    """The recipe file that `name` stands for: a YAML file, or the name of a shipped recipe; None if it is neither.

    A YAML file of data is none: see `is_data`.
    """
    path = Path(name)
    if path.suffix.lower() in YAML_SUFFIXES:
        return None if is_data(path) else path
    return shipped_recipes().get(name)


def find_recipe(name: str, command: str = "train") -> Path:
    """The recipe file that `name` stands for: a YAML file, or the name of a shipped recipe such as `quickstart`.

    Args:
        name: as it was typed.
        command: proposed, with a recipe, where `name` is data.

    Raises:
        UserError: it is neither; the most similar name is suggested. Or it is data.
    """
    path = recipe_path(name) or Path(name)
    if path == Path(name) and names_data(name):
        raise data_is_no_recipe(name, command)
    if path.suffix or path.is_file():
        return path
    near = nearest(name, list(shipped_recipes()))
    raise UserError(
        f"there is no recipe {name!r}" + (f"; did you mean {near!r}?" if near else ""), fix=_shipped_recipes()
    )


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with Feathertune: in a wheel in the package, in a checkout next to src."""
    package = Path(__file__).parents[1]  # the folder feathertune
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def _shipped_recipes() -> str:
    return "Give a YAML file, or the name of a shipped recipe: " + ", ".join(shipped_recipes()) + "."
