"""The examples that predict with an export: without Feathertune, and onnx_predict.py without torch."""

import base64
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from feathertune.export.exact_products import MODEL
from feathertune.export.exporting import export_run
from feathertune.folders.export import ExportDescription, ExportFolder, Target
from feathertune.prediction.decision import Decision
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

pytest.importorskip("onnx", reason="the onnx extra is not installed")

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = {target: REPOSITORY / "examples" / f"{target}_predict.py" for target in ("onnx", "executorch")}
TEXTS = ["what is the cat", "how do trees grow", "cat", "why do we sleep in the long cold dark of winter ?", "the"]


def test_the_known_product_of_the_example_is_that_of_the_package() -> None:
    assert _example("onnx").KNOWN_PRODUCT == MODEL
    (encoded,) = re.findall(
        r"KNOWN_PRODUCT = base64.b64decode\((.*?)\n\)", EXAMPLES["onnx"].read_text("utf-8"), re.DOTALL
    )
    assert "".join(re.findall(r'"(.*?)"', encoded)) == base64.b64encode(MODEL).decode()  # the decoder skips a lot


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("weights", ["fp32", "int8", "int4"])
def test_the_example_predicts_like_the_predictor_without_torch(
    plain_python: Path, tmp_path: Path, weights: str
) -> None:
    save_tiny_base(tmp_path / "base", "gpt2")
    write_tiny_data(tmp_path / "data")
    quantized = [] if weights == "fp32" else ["method=qat", f"quantize={{weights: {weights}, training: ptq}}"]
    _train_and_export(tmp_path, "onnx", *quantized)
    printed = _predict(plain_python, "onnx", tmp_path / "out", TEXTS)
    _assert_predictions_of_the_run(tmp_path / "run", TEXTS, printed, abs_score=1e-2 if weights != "fp32" else 1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("target", ["onnx", "executorch"])
def test_the_example_decides_by_the_runs_threshold_and_temperature(tmp_path: Path, target: Target) -> None:
    pytest.importorskip(target, reason=f"the {target} extra is not installed")
    save_tiny_base(tmp_path / "base")
    write_tiny_data(tmp_path / "data", train=64, validation=60)
    # too little training for 0.5 to be the best threshold
    _train_and_export(
        tmp_path,
        target,
        "evaluation={temperature: true, threshold: {maximize: f1}}",
        "data.label={column: label, names: ['no', 'yes']}",
        "training={epochs: 1, learning_rate: 0.002, precision: fp32}",
    )
    description = ExportDescription.read(ExportFolder(tmp_path / "out").description)
    evaluated = read_predictions(
        tmp_path / "run" / "predictions" / "after-validation.csv", "validation", description.threshold
    )
    most_likely = evaluated.probabilities_NC.argmax(axis=1)
    assert 0 < np.count_nonzero(most_likely != evaluated.predicted) < len(evaluated)  # the threshold changes some
    assert description.temperature != 1

    texts = list(evaluated.texts)
    printed = _predict(Path(sys.executable), target, tmp_path / "out", texts)
    assert [label for label, _, _ in printed] == [evaluated.label_names[index] for index in evaluated.predicted]
    _assert_predictions_of_the_run(tmp_path / "run", texts, printed, abs_score=1e-5)


DECISIONS = [Decision(), Decision(0.7, 0.4898), Decision(2.5, 0.9)]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("decision", DECISIONS)
def test_the_rule_of_the_onnx_example_is_that_of_the_package(classes: int, decision: Decision) -> None:
    example = _example("onnx")
    logits_NC = np.random.default_rng(0).normal(size=(500, classes)).astype(np.float32)
    logits_NC[0] = 1  # a tie
    probabilities_NC = example.probabilities(logits_NC, decision.temperature)
    np.testing.assert_array_equal(probabilities_NC, decision.probabilities(logits_NC))
    classes_N = example.decide(probabilities_NC, decision.threshold)
    np.testing.assert_array_equal(classes_N, decision.classes(probabilities_NC))


@pytest.mark.filterwarnings("ignore")  # executorch and torchao warn about themselves in many ways
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("decision", DECISIONS)
def test_the_rule_of_the_executorch_example_is_that_of_the_package(classes: int, decision: Decision) -> None:
    pytest.importorskip("executorch", reason="the executorch extra is not installed")
    example = _example("executorch")
    logits_NC = np.random.default_rng(0).normal(size=(500, classes)).astype(np.float32)
    expected_NC = decision.probabilities(logits_NC)
    for logits_C, expected_C in zip(logits_NC, expected_NC, strict=True):
        probabilities_C = example.probabilities(logits_C.tolist(), decision.temperature)
        assert probabilities_C == pytest.approx(expected_C, abs=1e-6)
        assert example.decide(expected_C.tolist(), decision.threshold) == decision.classes(expected_C[None])[0]


@pytest.fixture(scope="module")
def plain_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with onnxruntime, tokenizers and NumPy, without torch."""
    folder = tmp_path_factory.mktemp("plain") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--constraint")
    result = _run(python, *pip, str(REPOSITORY / "constraints.txt"), "onnxruntime", "tokenizers", "numpy")
    assert result.returncode == 0, result.stderr
    for package in ("torch", "transformers", "feathertune"):
        assert _run(python, "-c", f"import {package}").returncode == 1, f"{package} is installed"
    return python


def _train_and_export(folder: Path, target: Target, *changes: str) -> None:
    """Train with base/ and data/ in `folder`; write run/, and out/, its export."""
    recipe = f"""
    model: {{source: '{folder / "base"}'}}
    data: {{source: '{folder / "data"}'}}
    training: {{epochs: 2, learning_rate: 0.01, precision: fp32}}
    """
    train(parse_recipe(recipe, list(changes), where="here"), folder / "run")
    export_run(folder / "run", target, folder / "out")


def _predict(python: Path, target: Target, export: Path, texts: list[str]) -> list[list[str]]:
    """What the example prints for each text: the label, its probability and the text."""
    result = _run(python, str(EXAMPLES[target]), str(export), *texts)
    assert result.returncode == 0, result.stderr
    return [line.split("\t") for line in result.stdout.splitlines()]


def _assert_predictions_of_the_run(run: Path, texts: list[str], printed: list[list[str]], *, abs_score: float) -> None:
    for prediction, (label, probability, text) in zip(Predictor(run).predict(texts), printed, strict=True):
        assert (label, text) == (prediction.label, prediction.text)
        assert float(probability) == pytest.approx(prediction.score, abs=abs_score)


def _example(target: Target) -> ModuleType:
    """The example as a module, to call its functions."""
    spec = importlib.util.spec_from_file_location(f"{target}_predict", EXAMPLES[target])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, env=environment)
