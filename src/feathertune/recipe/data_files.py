"""Telling a recipe from data, where either may be given: a YAML file may be Rasa's, a JSON file a recipe."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from feathertune.errors import UserError, nearest
from feathertune.recipe.parsing import typed
from feathertune.recipe.schema import Recipe
from feathertune.recipe.yaml_text import load_yaml
from feathertune.system.files import expanded

YAML_SUFFIXES = (".yaml", ".yml")
_LARGEST_RECIPE = 2**17  # characters; no recipe comes near it, and YAML is slow to read
_MODEL = re.compile(r"""^[\s{"']*model["']?[ \t]*:""", re.MULTILINE)
_TOP_KEY = re.compile(r"""^["']?(\w+)["']?[ \t]*:""", re.MULTILINE)


def is_data(path: Path) -> bool:
    """Whether an existing file or folder is data and no recipe: a recipe is a mapping with keys such as `model`.

    A YAML file that cannot be read counts as a recipe, as does one without keys, so that the recipe's error is shown.
    """
    if path.is_dir():
        return True
    if not path.is_file():
        return False
    text = _beginning(path)
    if path.suffix.lower() not in YAML_SUFFIXES:
        return text is None or _MODEL.search(text) is None or not isinstance(_section(text, "model"), dict)
    if text is None or len(text) > _LARGEST_RECIPE:
        return text is not None
    keys = _TOP_KEY.findall(text)
    if keys and not any(map(_is_key, keys)):
        return True  # decided without reading it as YAML, which takes seconds
    try:
        values = load_yaml(text, str(path))
    except UserError:
        return False
    if isinstance(values, dict) and values:
        # No section of a recipe is a list: {"data": [{"text": ...}, ...]} is data.
        return not any(_is_key(str(key)) and not isinstance(value, list) for key, value in values.items())
    return isinstance(values, list) and any(isinstance(value, dict) for value in values)


def data_is_no_recipe(name: str, command: str) -> UserError:
    """The error for data where a recipe belongs; `command` is train or compare."""
    return UserError(
        "this is data, not a recipe",
        where=name,
        fix=f"Name it as the data of a recipe: feathertune {command} quickstart {typed('data.source', name)}",
    )


def names_data(name: str) -> bool:
    """Whether `name` is that of data: the built-in sample, or a file or folder that is no recipe."""
    return name == "sample" or is_data(expanded(name))


def _is_key(name: str) -> bool:
    """Whether `name` is a key of a recipe, or nearly one: what is misspelt has an error of its own."""
    return nearest(name, list(Recipe.model_fields)) is not None


def _section(text: str, key: str) -> object:
    """What a YAML (or JSON) mapping has under `key`; None if the text is none."""
    try:
        values = load_yaml(text, "")
    except UserError:
        return None
    return values.get(key) if isinstance(values, dict) else None


def _beginning(path: Path) -> str | None:
    """The text of a file, at most a little more than the largest recipe; None if it is not UTF-8."""
    try:
        with path.open("rb") as file:
            return codecs.getincrementaldecoder("utf-8")().decode(file.read(_LARGEST_RECIPE + 1))
    except (UnicodeDecodeError, OSError):
        return None
