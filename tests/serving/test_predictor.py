"""The predictor: what is computed only once, and what it predicts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from feathertune.baselines import bag_of_words as baselines
from feathertune.cli.app import app
from feathertune.errors import UserError
from feathertune.folders import opened as opening
from feathertune.folders.run import RunFolder
from feathertune.model import adapt
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, data and two runs: `lora` and `bag_of_words`."""
    folder = tmp_path_factory.mktemp("predictor")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    text = f"""
    model: {{source: '{folder / "base"}'}}
    data: {{source: '{folder / "data"}'}}
    lora: {{rank: 4, targets: all-linear}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    """
    for method in ("lora", "bag_of_words"):
        train(parse_recipe(text, [f"method={method}"], where="here"), folder / method)
    return folder


@pytest.mark.parametrize("method", ["lora", "bag_of_words"])
def test_predictions_are_those_evaluated_together_and_one_by_one(place: Path, method: str) -> None:
    stored = read_predictions(RunFolder(place / method).predictions("after", "validation"), "validation")
    predictor = Predictor(place / method)
    together = predictor.predict(list(stored.texts))
    for number, prediction in enumerate(together):
        assert prediction.label == stored.label_names[stored.predicted[number]]
        alone = predictor.predict(prediction.text)[0]
        probabilities = [list(one.probabilities.values()) for one in (prediction, alone)]
        np.testing.assert_allclose(probabilities, [stored.probabilities_NC[number]] * 2, rtol=0, atol=1e-6)


def test_adapters_are_merged_once_and_not_for_every_call(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count(monkeypatch, adapt.AdaptedLinear, "merged")
    predictor = Predictor(place / "lora")
    once = len(calls)
    for _ in range(3):
        predictor.predict("the cat")
    assert len(calls) == once > 0


def test_a_bag_of_words_builds_one_vectorizer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count(monkeypatch, baselines, "_vectorizer")
    predictor = Predictor(place / "bag_of_words")
    for _ in range(3):
        predictor.predict("the cat")
    assert len(calls) == 1


@pytest.mark.parametrize("method", ["lora", "bag_of_words"])
def test_the_run_is_opened_and_its_recipe_parsed_once(
    place: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, parsed = count(monkeypatch, opening, "open_run"), count(monkeypatch, opening, "load_recipe")
    Predictor(place / method).predict("the cat")
    assert (len(opened), len(parsed)) == (1, 1)
    result = CliRunner().invoke(app, ["predict", str(place / method), "the cat"])
    assert result.exit_code == 0, result.output
    assert (len(opened), len(parsed)) == (2, 2)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (" ", "is empty"),
        ("\ud800", "not valid UTF-8"),
        (None, "not a text but None"),
        (float("nan"), "not a text but nan"),
        (b"abc", "not a text but b'abc'"),
        (["the cat"], "not a text but \\['the cat'"),
    ],
)
@pytest.mark.parametrize("method", ["lora", "bag_of_words"])
def test_something_else_than_a_text_is_named_by_its_number(place: Path, method: str, text: Any, what: str) -> None:
    with pytest.raises(UserError, match=f"text 2: .*{what}"):
        Predictor(place / method).predict(["the cat", text])


@pytest.mark.parametrize("texts", [{"text": "the cat"}, b"abc", None, 5, SimpleNamespace(columns=["text"])])
def test_something_else_than_a_list_of_texts_is_refused(place: Path, texts: Any) -> None:
    with pytest.raises(UserError, match=f"expected a text or a list of texts, not {type(texts).__name__}"):
        Predictor(place / "bag_of_words").predict(texts)


def test_any_iterable_of_texts_is_accepted(place: Path) -> None:
    predictor = Predictor(place / "bag_of_words")
    wanted = predictor.predict(["the cat", "a moon"])
    for texts in (("the cat", "a moon"), np.array(["the cat", "a moon"]), iter(["the cat", "a moon"])):
        assert predictor.predict(texts) == wanted  # type: ignore[arg-type]


def count(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[None]:
    """A list with one entry for each call of `owner.name`, which still works."""
    original, calls = getattr(owner, name), []

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(None)
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, counted)
    return calls
