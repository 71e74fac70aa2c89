"""Errors as users see them."""

import pytest

from feathertune.errors import UserError, nearest


def test_an_error_names_problem_place_and_fix() -> None:
    error = UserError("the key is unknown", where="recipe.yaml:3", fix="Write `epochs`.")
    assert str(error) == "recipe.yaml:3: the key is unknown\n  Write `epochs`."
    assert (error.what, error.where, error.fix) == ("the key is unknown", "recipe.yaml:3", "Write `epochs`.")
    assert str(UserError("it broke")) == "it broke"


@pytest.mark.parametrize(("word", "found"), [("epocs", "epochs"), ("rnak", "rank"), ("zzz", None), ("", None)])
def test_the_nearest_word_is_near_or_none(word: str, found: str | None) -> None:
    assert nearest(word, ["epochs", "rank", "alpha"]) == found
