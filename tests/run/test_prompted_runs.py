"""Runs with `model.prompt`: training, evaluation, prediction and exports all use the prompt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feathertune.errors import UserError
from feathertune.export.exporting import export_run
from feathertune.folders.inputs import DataRecord
from feathertune.folders.run import RunFolder
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.run.inspect import inspect_source
from feathertune.run.load import load_trained
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.run_tokenizer import run_tokenizer
from tiny import save_tiny_base, write_tiny_data

PROMPT = "is the sun a moon ? {text} what"
METHODS = {
    "lora": (),
    "head": ("method=head",),
    "full": ("method=full",),
    "qat": ("method=qat", "quantize={weights: int8, training: ptq}"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, data, and a run of each method."""
    folder = tmp_path_factory.mktemp("prompted")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    for method, changes in METHODS.items():
        overrides = [f"model.prompt={PROMPT!r}", *changes]
        train(parse_recipe(recipe_text(folder), overrides, where="here"), folder / method)
    return folder


def recipe_text(place: Path) -> str:
    return f"""
    model: {{source: '{place / "base"}', max_length: 32}}
    data: {{source: '{place / "data"}'}}
    lora: {{rank: 4, targets: all-linear}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    """


@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_those_evaluated(place: Path, method: str) -> None:
    stored = read_predictions(RunFolder(place / method).predictions("after", "validation"), "validation")
    predicted = [list(one.probabilities.values()) for one in Predictor(place / method).predict(list(stored.texts))]
    np.testing.assert_allclose(predicted, stored.probabilities_NC, rtol=0, atol=1e-6)


def test_the_prompt_is_what_the_model_reads(place: Path) -> None:
    """Without it, the same weights predict the same for texts that contain its words."""
    prompted = load_trained(place / "lora")
    tokenizer = run_tokenizer(load_tokenizer(place / "base"), prompt=None, max_length=32, special="text")
    texts = ["the cat", "what is the moon ?"]
    with_prompt = Predictor(prompted).predict(texts)
    with_words = Predictor(replace(prompted, tokenizer=tokenizer)).predict(
        [PROMPT.replace("{text}", text) for text in texts]
    )
    words, prompt = ([list(one.probabilities.values()) for one in some] for some in (with_words, with_prompt))
    np.testing.assert_allclose(words, prompt, rtol=0, atol=1e-6)


def test_its_tokens_count(place: Path) -> None:
    train(parse_recipe(recipe_text(place), [], where="here"), place / "plain")
    prompted, plain = (DataRecord.read(place / name / "data.json").splits["train"].tokens for name in ("lora", "plain"))
    assert prompted is not None
    assert plain is not None
    assert prompted.max == plain.max + 7


@pytest.mark.parametrize(("method", "target"), [("lora", "adapter"), ("full", "merged"), ("lora", "merged")])
def test_exports_for_transformers_and_peft_have_a_tokenizer_with_the_prompt(
    place: Path, tmp_path: Path, method: str, target: str
) -> None:
    from transformers import AutoTokenizer

    export = export_run(place / method, target, tmp_path / "out")
    assert export.parity.passed
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("the cat")["input_ids"]
    assert len(ids) == 2 + 7 + 2


@pytest.mark.parametrize("method", ["lora", "qat"])
def test_tokenizer_json_of_an_onnx_export_has_the_prompt(place: Path, tmp_path: Path, method: str) -> None:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    from tokenizers import Tokenizer

    export = export_run(place / method, "onnx", tmp_path / "out")
    assert export.parity.passed
    assert len(Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json")).encode("the cat").ids) == 2 + 7 + 2


def test_starting_with_another_prompt_is_refused(place: Path, tmp_path: Path) -> None:
    changes = ["method=qat", f"init_from={place / 'lora'}", "model.prompt='{text} ?'"]
    with pytest.raises(UserError, match=r"was trained with the prompt 'is the sun.*\n.*the same model.prompt"):
        train(parse_recipe(recipe_text(place), changes, where="here"), tmp_path / "run")


def test_inspect_counts_the_tokens_of_the_prompt(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(place), encoding="utf-8")
    plain, prompted = (
        inspect_source(str(path), changes).splits["train"].tokens for changes in ([], [f"model.prompt={PROMPT!r}"])
    )
    assert plain is not None
    assert prompted is not None
    assert prompted.max == plain.max + 7


@pytest.mark.parametrize("prompt", ["no place", "{text} and {text}"])
def test_a_prompt_without_its_place_is_one_clear_error(place: Path, prompt: str) -> None:
    with pytest.raises(UserError, match=r"model.prompt.*must hold \{text\} once"):
        parse_recipe(recipe_text(place), [f"model.prompt={prompt!r}"], where="here")
