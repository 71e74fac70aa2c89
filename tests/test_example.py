"""examples/onnx_predict.py, as somebody runs it on a machine that has neither torch nor Feathertune."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from feathertune.export.exporting import export_run
from feathertune.folders.export import ExportFolder, read_description
from feathertune.prediction.decision import Decision
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

pytest.importorskip("onnx", reason="the onnx extra is not installed")

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLE = REPOSITORY / "examples" / "onnx_predict.py"
TEXTS = ["what is the cat", "how do trees grow", "cat", "why do we sleep in the long cold dark of winter ?", "the"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("weights", ["fp32", "int8", "int4"])
def test_the_example_answers_as_the_predictor_without_torch(plain_python: Path, tmp_path: Path, weights: str) -> None:
    save_tiny_base(tmp_path / "base", "gpt2")
    write_tiny_data(tmp_path / "data")
    quantized = [] if weights == "fp32" else ["method=qat", f"quantize={{weights: {weights}, training: none}}"]
    _train_and_export(tmp_path, *quantized)
    said = _ask(plain_python, tmp_path / "out", TEXTS)
    _assert_answers_of_the_run(tmp_path / "run", TEXTS, said, abs_score=1e-2 if weights != "fp32" else 1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_example_decides_by_the_runs_threshold_and_temperature(tmp_path: Path) -> None:
    save_tiny_base(tmp_path / "base")
    write_tiny_data(tmp_path / "data", train=64, validation=60)
    # too little training to be sure of anything, so that 0.5 is not the best threshold
    _train_and_export(
        tmp_path,
        "evaluation={temperature: true, threshold: {maximize: f1}}",
        "data.label={column: label, names: ['no', 'yes']}",
        "training={epochs: 1, learning_rate: 0.002, precision: fp32}",
    )
    description = read_description(ExportFolder(tmp_path / "out"))
    evaluated = read_predictions(
        tmp_path / "run" / "predictions" / "after-validation.csv", "validation", description.threshold
    )
    likeliest = evaluated.probabilities_NC.argmax(axis=1)
    assert 0 < np.count_nonzero(likeliest != evaluated.predicted) < len(evaluated)  # the threshold changes some
    assert description.temperature != 1

    texts = list(evaluated.texts)
    said = _ask(Path(sys.executable), tmp_path / "out", texts)
    assert [label for label, _, _ in said] == [evaluated.label_names[index] for index in evaluated.predicted]
    _assert_answers_of_the_run(tmp_path / "run", texts, said, abs_score=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("decision", [Decision(), Decision(0.7, 0.4898), Decision(2.5, 0.9)])
def test_the_examples_rule_is_the_products(classes: int, decision: Decision) -> None:
    example = _example()
    logits_NC = np.random.default_rng(0).normal(size=(500, classes)).astype(np.float32)
    logits_NC[0] = 1  # a tie
    probabilities_NC = example.probabilities(logits_NC, decision.temperature)
    np.testing.assert_array_equal(probabilities_NC, decision.probabilities(logits_NC))
    chosen_N = example.decide(probabilities_NC, decision.threshold)
    np.testing.assert_array_equal(chosen_N, decision.classes(probabilities_NC))


@pytest.fixture(scope="module")
def plain_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has onnxruntime, tokenizers and NumPy, and no torch."""
    folder = tmp_path_factory.mktemp("plain") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--constraint")
    done = _run(python, *pip, str(REPOSITORY / "constraints.txt"), "onnxruntime", "tokenizers", "numpy")
    assert done.returncode == 0, done.stderr
    for package in ("torch", "transformers", "feathertune"):
        assert _run(python, "-c", f"import {package}").returncode == 1, f"{package} is there"
    return python


def _train_and_export(folder: Path, *changes: str) -> None:
    """`folder` has base/ and data/, and gets run/ and out/, an ONNX export."""
    recipe = f"""
    model: {{source: '{folder / "base"}'}}
    data: {{source: '{folder / "data"}'}}
    training: {{epochs: 2, learning_rate: 0.01, precision: fp32}}
    """
    train(parse_recipe(recipe, list(changes), where="here"), folder / "run")
    export_run(folder / "run", "onnx", folder / "out")


def _ask(python: Path, export: Path, texts: list[str]) -> list[list[str]]:
    """What the example prints: a label, its probability and the text, for each of `texts`."""
    done = _run(python, str(EXAMPLE), str(export), *texts)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def _assert_answers_of_the_run(run: Path, texts: list[str], said: list[list[str]], *, abs_score: float) -> None:
    for text, answer, (label, probability, shown) in zip(texts, Predictor(run).predict(texts), said, strict=True):
        assert (label, shown) == (answer.label, text)
        assert float(probability) == pytest.approx(answer.score, abs=abs_score)


def _example() -> ModuleType:
    """The example as a module, its functions to be called here."""
    spec = importlib.util.spec_from_file_location("onnx_predict", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, env=environment)
