"""Runs trained in bfloat16: their float32 model is evaluated, predicts, and is exported."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from feathertune.errors import UserError
from feathertune.export.exporting import export_run
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.model.dropout_rates import has_dropout
from feathertune.model.precision import set_precision
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.load import load_trained
from feathertune.run.prepare import in_float32, prepare
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

CPU = torch.device("cpu")
METHODS = {
    "lora": (),
    "head": ("method=head",),
    "full": ("method=full", "training.learning_rate=0.001"),
    "qat": ("method=qat", "quantize={weights: int8, epochs: 1}"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, data, and a run of each method."""
    folder = tmp_path_factory.mktemp("bf16")
    save_tiny_base(folder / "base")
    model: Any = transformers.AutoModel.from_pretrained(folder / "base")
    for parameter in model.parameters():
        parameter.data *= 5  # so that bf16's rounding shows in predictions: a tiny base's own layers add almost nothing
    model.save_pretrained(folder / "base")
    write_tiny_data(folder / "data")
    for method, changes in METHODS.items():
        train(recipe(folder, *changes), folder / method)
    return folder


def recipe(place: Path, *changes: str) -> Recipe:
    text = f"""
    model: {{source: '{place / "base"}', max_length: 32}}
    data: {{source: '{place / "data"}'}}
    lora: {{rank: 4, dropout: 0, targets: all-linear}}
    training: {{epochs: 1, learning_rate: 0.01, precision: bf16}}
    """
    return parse_recipe(text, list(changes), where="here")


def evaluated(run: Path, stage: Any) -> tuple[list[str], npt.NDArray[np.float64]]:
    stored = read_predictions(RunFolder(run).predictions(stage, "validation"), "validation")
    return list(stored.texts), stored.probabilities_NC


def predicted(predictor: Predictor, texts: list[str]) -> npt.NDArray[np.float64]:
    return np.array([list(one.probabilities.values()) for one in predictor.predict(texts)])


@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_those_evaluated_in_float32(place: Path, method: str) -> None:
    assert Summary.read(place / method / "summary.json").precision == "bf16"  # in training
    texts, stored_NC = evaluated(place / method, "after")
    np.testing.assert_allclose(predicted(Predictor(place / method), texts), stored_NC, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["lora", "head", "full"])
def test_bf16_predictions_differ_a_little(place: Path, method: str) -> None:
    texts, stored_NC = evaluated(place / method, "after")
    difference = np.abs(predicted(Predictor(place / method, precision="bf16"), texts) - stored_NC).max()
    assert 1e-5 < difference < 0.05


def test_before_is_evaluated_in_float32_too(place: Path, tmp_path: Path) -> None:
    train(recipe(place, "training.precision=fp32"), tmp_path / "run")
    _, in_fp32_NC = evaluated(tmp_path / "run", "before")
    np.testing.assert_array_equal(evaluated(place / "lora", "before")[1], in_fp32_NC)


@pytest.mark.parametrize("method", METHODS)
def test_exports_pass_the_parity_gate_to_the_last_digits(place: Path, method: str, tmp_path: Path) -> None:
    """With bf16 evaluated, near-ties turned, and such an export could be refused."""
    exported = export_run(place / method, "onnx" if method == "qat" else "merged", tmp_path / "export")
    assert exported.parity.passed
    assert exported.parity.near_tie_changes == 0
    if method == "qat":
        with pytest.raises(UserError, match="has its own precision"):
            Predictor(tmp_path / "export", precision="bf16")
    else:
        assert exported.parity.logit_difference["maximum"] < 1e-5


def test_an_impossible_precision_is_one_clear_error(place: Path) -> None:
    with pytest.raises(UserError, match=r"no precision 'fp16'.*\n.*fp32 or bf16"):
        Predictor(place / "lora", precision="fp16")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="already loaded"):
        Predictor(load_trained(place / "lora"), precision="bf16")


def test_integers_do_not_predict_in_bf16(place: Path) -> None:
    with pytest.raises(UserError, match="integers"):
        Predictor(place / "qat", precision="bf16")


@pytest.mark.parametrize("changes", [("method=qat", "quantize={weights: int8, epochs: 1}"), ()])
def test_the_model_in_float32_keeps_the_recipes_dropout_and_checkpoints(place: Path, changes: tuple[str, ...]) -> None:
    prepared = prepare(recipe(place, *changes, "model.dropout=0", "training.gradient_checkpointing=true"), CPU)
    set_precision(prepared.classifier, "bf16")
    again = in_float32(prepared).classifier
    assert again is not prepared.classifier
    assert not has_dropout(again.model)
    forwards = [name for name, module in again.model.named_modules() if "forward" in vars(module)]
    assert forwards == [name for name, module in prepared.classifier.model.named_modules() if "forward" in vars(module)]
    assert forwards
