"""What may be searched, and a trial's values."""

from __future__ import annotations

from typing import Any

import pytest

from feathertune.errors import UserError
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.tuning.space import check_space, suggest, trial_recipe


class Low:
    """A trial that always takes the lowest number and the first choice, and keeps the arguments of each call."""

    def __init__(self) -> None:
        self.calls: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.calls[name] = ("int", low, high, log)
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.calls[name] = ("float", low, high, log)
        return low

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        self.calls[name] = choices
        return choices[0]


def recipe(search: str, *changes: str) -> Recipe:
    text = "model: {source: m}\ndata: {source: d, label: {rating: r, above: 0.5}}\n"
    return parse_recipe(f"{text}search: {search}", list(changes), where="here")


def test_each_key_has_values_of_its_own_kind() -> None:
    whole = recipe(
        "{training.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}, lora.rank: {low: 2, high: 16},"
        " lora.dropout: [0.0, 0.1], lora.targets: [all-linear, [query, value]], data.label.soft: [true, false]}"
    )
    trial = Low()
    values = suggest(trial, check_space(whole))
    assert values == {
        "training.learning_rate": 1e-4,
        "lora.rank": 2,
        "lora.dropout": 0.0,
        "lora.targets": "all-linear",
        "data.label.soft": True,
    }
    assert trial.calls["training.learning_rate"] == ("float", 1e-4, 1e-2, True)
    assert trial.calls["lora.rank"] == ("int", 2, 16, False)
    assert trial.calls["lora.targets"] == ['"all-linear"', '["query", "value"]']
    made = trial_recipe(whole, values | {"lora.targets": ["query", "value"]})
    assert (made.lora.rank, made.lora.targets, made.training.learning_rate) == (2, ("query", "value"), 1e-4)
    assert made.data.label.soft


def test_a_trial_never_reads_the_test_split() -> None:
    made = trial_recipe(recipe("{lora.rank: [4]}", "compare.seeds=2"), {"lora.rank": 4})
    assert made.data.test is False
    assert (made.search, made.compare) == (None, None)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("{data.source: [d, e]}", "data.source cannot be searched"),
        ("{data.test: [true]}", "data.test cannot be searched"),
        ("{data.label.above: [0.5, 0.8]}", "data.label.above cannot be searched"),
        ("{training.seed: [0, 1]}", "training.seed cannot be searched"),
        ("{training.best_metric: [f1, accuracy]}", "training.best_metric cannot be searched"),
        ("{lora.rnk: [4]}", "did you mean 'rank'"),
        ("{lora.rank: [0, 4]}", "lora.rank"),
        ("{lora.rank: {low: 4, high: 16.0}}", "lora.rank"),
        ("{training.learning_rate: {low: -1.0, high: 1.0}}", "training.learning_rate"),
        ("{}", "nothing to tune"),
        ("null", "nothing to tune"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_it_begins(search: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_space(recipe(search))


@pytest.mark.parametrize(
    ("values", "message"),
    [("{low: 2, high: 1}", "`low` must be below"), ("{low: 0, high: 1, log: true}", "above 0"), ("[]", "at least 1")],
)
def test_a_range_is_checked_when_the_recipe_is_read(values: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe(f"{{lora.rank: {values}}}")
