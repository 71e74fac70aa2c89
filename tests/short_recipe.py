"""The shortest recipe as text, and the errors that changes to it raise."""

from __future__ import annotations

import pytest

from feathertune.errors import UserError
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe

BASE = """\
model:
  source: m
data:
  source: d
  label: {column: c}
"""


def parse(text: str, *overrides: str) -> Recipe:
    """The recipe, as if it were read from the file r.yaml."""
    return parse_recipe(text, list(overrides), where="r.yaml")


def refusal(text: str, *overrides: str) -> str:
    """The message of the error that it raises."""
    with pytest.raises(UserError) as error:
        parse(text, *overrides)
    return str(error.value)
