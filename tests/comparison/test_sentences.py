"""What a comparison says of its budget."""

import pytest

from feathertune.comparison.sentences import budget
from feathertune.recipe.files import parse_recipe

RECIPE = "model: {source: base}\ndata: {source: data}"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["training.epochs=5"], "Each trains 5 epochs in steps of 32 examples"),
        (["training.epochs=1"], "Each trains 1 epoch in steps of 32 examples"),
        (["training.epochs=5", "training.max_steps=1200"], "Each trains 5 epochs, at most 1,200 steps, in steps of 32"),
    ],
)
def test_the_budget_is_that_of_the_recipe(changes: list[str], told: str) -> None:
    sentences = budget({"lora": parse_recipe(RECIPE, changes, where="here")})
    assert any(sentence.startswith(told) for sentence in sentences)


def test_that_a_method_chose_its_threshold_is_told_whichever_comes_first() -> None:
    plain = parse_recipe(RECIPE, ["method=majority"], where="here")
    chooses = parse_recipe(RECIPE, ["evaluation.threshold={maximize: f1}"], where="here")
    assert any("chosen on validation" in sentence for sentence in budget({"majority": plain, "lora": chooses}))
    assert not any("chosen on validation" in sentence for sentence in budget({"majority": plain}))
