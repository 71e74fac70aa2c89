"""The search space: the recipe's `search` section, checked against the recipe, and the values of one trial."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from feathertune.errors import UserError
from feathertune.recipe.files import dump_recipe, parse_recipe
from feathertune.recipe.schema import Recipe, SearchRange

Space = Mapping[str, SearchRange | tuple[Any, ...]]

# Trials may change how the model is trained, but not what they are compared by: data, seed and metric. They train one
# model each, because they are compared epoch by epoch.
SEARCHED = ("model.", "lora.", "training.", "quantize.", "method", "data.label.soft", "data.label.raters")
KEPT = ("training.seed", "training.best_metric", "lora.members")


class Suggests(Protocol):
    """The part of Optuna's trial that is needed here."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number from `low` to `high`."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number from `low` to `high`."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """One of the choices."""


def check_space(recipe: Recipe) -> Space:
    """The search section of a recipe.

    Raises:
        UserError: there is none, a key must not be searched, or one of the values would make the recipe invalid.
    """
    if not recipe.search:
        raise UserError(
            "the recipe has no `search` section, so there is nothing to tune",
            fix="For example: search={training.learning_rate: {low: 1.0e-4, high: 0.01, log: true}, lora.rank: [4, 8]}",
        )
    if recipe.lora.members > 1:
        raise UserError(
            f"lora.members={recipe.lora.members}: trials are compared epoch by epoch, so each trains one model",
            fix="Tune with lora.members=1, then set lora.members in best.yaml.",
        )
    for key, values in recipe.search.items():
        if not key.startswith(SEARCHED) or key in KEPT:
            raise UserError(
                f"search: {key} cannot be searched: it is no recipe key, or trials would no longer be comparable",
                fix=f"Search keys that begin with {', '.join(SEARCHED)}, except {' and '.join(KEPT)}.",
            )
        for value in _examples(values):
            trial_recipe(recipe, {key: value})
    return recipe.search


def suggest(trial: Suggests, space: Space) -> dict[str, Any]:
    """A value for each key."""
    return {key: _suggest_one(trial, key, values) for key, values in space.items()}


def trial_recipe(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values and without the test split. Raises UserError if it is not valid."""
    plain = recipe.model_copy(update={"search": None, "compare": None})
    changes = ["data.test=false", *(f"{key}={json.dumps(value)}" for key, value in values.items())]
    trial = parse_recipe(dump_recipe(plain), changes, where="search")
    own = {"own_columns": recipe.data.own_columns, "own_names": recipe.data.own_names}  # which are in no dump
    data = trial.data.model_copy(update=own)
    return trial.model_copy(update={"data": data})


def _examples(values: SearchRange | tuple[Any, ...]) -> tuple[Any, ...]:
    """All choices; or the ends of a range, and a number that is not whole unless the range is of whole numbers."""
    if not isinstance(values, SearchRange):
        return values
    ends = (values.low, values.high)
    return ends if _whole(values) else (*ends, values.low + (values.high - values.low) / math.pi)


def _whole(values: SearchRange) -> bool:
    return isinstance(values.low, int) and isinstance(values.high, int)


def _suggest_one(trial: Suggests, key: str, values: SearchRange | tuple[Any, ...]) -> Any:
    if isinstance(values, SearchRange):
        if _whole(values):
            return trial.suggest_int(key, int(values.low), int(values.high), log=values.log)
        return trial.suggest_float(key, values.low, values.high, log=values.log)
    if all(value is None or isinstance(value, bool | int | float | str) for value in values):
        return trial.suggest_categorical(key, list(values))
    # Optuna's choices must be scalars: lists, such as layer names, are written as JSON
    return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in values]))
