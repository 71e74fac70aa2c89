"""examples/onnx_predict.py, as somebody runs it on a machine that has neither torch nor Feathertune."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from feathertune.export.exporting import export_run
from feathertune.recipe_file import parse_recipe
from feathertune.run import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

pytest.importorskip("onnx", reason="the onnx extra is not installed")

REPOSITORY = Path(__file__).resolve().parents[1]
TEXTS = ["what is the cat", "how do trees grow", "cat", "why do we sleep in the long cold dark of winter ?", "the"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("weights", ["fp32", "int8", "int4"])
def test_the_example_answers_as_the_predictor_without_torch(plain_python: Path, tmp_path: Path, weights: str) -> None:
    save_tiny_base(tmp_path / "base", "gpt2")
    recipe = f"""
    model: {{source: '{tmp_path / "base"}'}}
    data: {{source: '{write_tiny_data(tmp_path / "data")}'}}
    training: {{epochs: 2, learning_rate: 0.01, precision: fp32}}
    """
    quantized = [] if weights == "fp32" else ["method=qat", f"quantize={{weights: {weights}, training: none}}"]
    train(parse_recipe(recipe, quantized, where="here"), tmp_path / "run")
    export_run(tmp_path / "run", "onnx", tmp_path / "out")

    done = _run(plain_python, str(REPOSITORY / "examples" / "onnx_predict.py"), str(tmp_path / "out"), *TEXTS)
    assert done.returncode == 0, done.stderr
    answers = [line.split("\t") for line in done.stdout.splitlines()]
    for text, answer, (label, probability, shown) in zip(
        TEXTS, Predictor(tmp_path / "run").predict(TEXTS), answers, strict=True
    ):
        assert (label, shown) == (answer.label, text)
        assert float(probability) == pytest.approx(answer.score, abs=1e-2 if weights != "fp32" else 1e-5)


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


def _run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=False, env=environment)
