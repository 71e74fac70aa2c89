"""ExecuTorch exports, run by executorch's own runtime and compared with the evaluated integer model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from feathertune.errors import UserError
from feathertune.export.executorch import ExecutorchRuntime, XnnpackLinear
from feathertune.export.exporting import Export, export_run
from feathertune.prediction.files import read_predictions
from feathertune.quantization.integer import IntegerLinear
from feathertune.serving.predictor import Predictor

pytest.importorskip("executorch", reason="the executorch extra is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # executorch and torchao warn about themselves in many ways

TrainedRun = Callable[[str, str], Path]
CASES = [
    ("gpt2", "fp32"),
    ("gpt2", "int8"),
    ("gpt2", "int4"),
    ("bert", "int8"),
    ("llama", "int4"),
    ("deberta-v3", "int8"),
]


@pytest.fixture(scope="module")
def exported(trained_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Export]:
    """(family, weights) -> its export, each made once."""
    folder, made = tmp_path_factory.mktemp("executorch"), {}

    def find(base: str, weights: str) -> Export:
        name = f"{base}-{weights}"
        if name not in made:
            made[name] = export_run(trained_run(base, weights), "executorch", folder / name)
        return made[name]

    return find


@pytest.mark.parametrize(("base", "weights"), CASES)
def test_executorch_predicts_as_evaluated(
    exported: Callable[[str, str], Export], trained_run: TrainedRun, base: str, weights: str
) -> None:
    """Texts of all lengths, one at a time: the batch size is fixed at 1."""
    export, run = exported(base, weights), trained_run(base, weights)
    assert export.parity.passed, export.parity.refused
    assert export.parity.rows == 60
    assert export.parity.logit_difference["median"] < 1e-5
    assert {"model.pte", "tokenizer.json", "labels.json"} <= {path.name for path in export.folder.iterdir()}
    texts = list(read_predictions(run / "predictions" / "after-validation.csv", "validation").texts[:7])
    pairs = zip(Predictor(export.folder).predict(texts), Predictor(run).predict(texts), strict=True)
    assert all(one.label == other.label and abs(one.score - other.score) < 1e-2 for one, other in pairs)


def test_linears_are_computed_by_xnnpack_from_the_runs_integers(exported: Callable[[str, str], Export]) -> None:
    """No quantize operator is left outside the delegate, and the file shrinks with the weights."""
    programs = {weights: (exported("gpt2", weights).folder / "model.pte").read_bytes() for _, weights in CASES[:3]}
    for content in programs.values():
        assert b"XnnpackBackend" in content
        assert b"quantized_decomposed" not in content
    assert len(programs["fp32"]) > len(programs["int8"]) > len(programs["int4"])


def test_the_shortest_text_and_the_longest(exported: Callable[[str, str], Export]) -> None:
    folder = exported("gpt2", "int8").folder
    longest = json.loads((folder / "export.json").read_text())["max_length"]
    runtime = ExecutorchRuntime(folder / "model.pte")
    for length in (1, longest, 2):
        logits_BC = runtime.logits(np.full((1, length), 5, dtype=np.int64))
        assert logits_BC.shape == (1, 2)
        assert np.isfinite(logits_BC).all()


def test_pad_tokens_at_the_end_of_a_text_are_not_pooled(exported: Callable[[str, str], Export]) -> None:
    runtime = ExecutorchRuntime(exported("gpt2", "fp32").folder / "model.pte")
    text, pad = [9, 0, 17, 33], 0
    plain, ended = (runtime.logits(np.array([ids], dtype=np.int64)) for ids in (text, [*text, pad, pad]))
    other = runtime.logits(np.array([[*text, 5]], dtype=np.int64))
    assert np.abs(plain - ended).max() < 1e-5
    assert np.abs(plain - other).max() > 1e-2


def test_a_layer_that_xnnpack_would_compute_differently_is_not_written() -> None:
    linear = IntegerLinear.of(torch.randn(4, 64), None, 8, "symmetric")
    with pytest.raises(ValueError, match="quantizes activations asymmetrically"):
        XnnpackLinear(linear)


def test_a_damaged_program_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "model.pte").write_bytes(b"no program")
    with pytest.raises(UserError, match="ExecuTorch cannot load the program"):
        ExecutorchRuntime(tmp_path / "model.pte")
