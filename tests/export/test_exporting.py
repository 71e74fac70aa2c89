"""Exports of whole runs: each is asked for the whole validation split, and kept only if it answers as evaluated."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feathertune.errors import UserError
from feathertune.evaluation.prediction_file import read_predictions
from feathertune.export.exporting import export_run, summary_lines
from feathertune.export.parity import compare
from feathertune.export.targets import TARGETS
from feathertune.recipe import parse_recipe
from feathertune.run import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

pytest.importorskip("onnx", reason="the onnx extra is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

METHODS = {
    "fp32": (),
    "int8": ("method=qat", "quantize={weights: int8, training: none}"),
    "int4": ("method=qat", "quantize={weights: int4, training: none}"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exports")
    write_tiny_data(path / "data", train=160, validation=60)
    return path


def trained_run(folder: Path, base: str, weights: str) -> Path:
    run = folder / "runs" / f"{base}-{weights}"
    if not run.is_dir():
        if not (folder / base).is_dir():
            save_tiny_base(folder / base, base)
        recipe = f"""
        model: {{source: '{folder / base}'}}
        data: {{source: '{folder / "data"}'}}
        lora: {{rank: 4, alpha: 8, targets: all-linear}}
        training: {{epochs: 2, learning_rate: 0.01, precision: fp32}}
        """
        train(parse_recipe(recipe, list(METHODS[weights]), where="here"), run)
    return run


@pytest.mark.parametrize("weights", METHODS)
@pytest.mark.parametrize("base", ["gpt2", "bert", "llama"])
def test_onnx_answers_as_evaluated(folder: Path, tmp_path: Path, base: str, weights: str) -> None:
    run = trained_run(folder, base, weights)
    export = export_run(run, "onnx", tmp_path / "out")
    assert export.parity.passed, export.parity.refused
    assert export.parity.rows == 60
    assert export.parity.logit_difference["median"] < 1e-4
    parity: dict[str, Any] = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert parity["passed"] is True
    assert any("labels agree in" in line for line in summary_lines(export))
    assert {"model.onnx", "tokenizer.json", "labels.json", "config.json"} <= {p.name for p in export.folder.iterdir()}


def test_an_export_folder_predicts_as_its_run(folder: Path, tmp_path: Path) -> None:
    run = trained_run(folder, "bert", "int8")
    export_run(run, "onnx", tmp_path / "out")
    texts = read_predictions(run / "predictions" / "after-validation.csv", "validation").texts[:7]
    ours, exported = Predictor(run), Predictor(tmp_path / "out")
    answers = zip(exported.predict(list(texts)), ours.predict(list(texts)), strict=True)
    assert all(one.label == other.label and abs(one.score - other.score) < 1e-2 for one, other in answers)


def test_sizes_shrink_with_the_weights(folder: Path, tmp_path: Path) -> None:
    sizes = []
    for weights in METHODS:
        export = export_run(trained_run(folder, "gpt2", weights), "onnx", tmp_path / weights)
        sizes.append(sum(len(t.raw_data) for t in _initializers(export.folder / "model.onnx")))
    assert sizes[0] > 2 * sizes[1]
    assert sizes[1] > sizes[2]


def _initializers(path: Path) -> Any:
    import onnx

    return onnx.load(path).graph.initializer


def test_integers_are_multiplied_by_plain_operators(folder: Path, tmp_path: Path) -> None:
    """Never DynamicQuantizeLinear, which is per tensor: a text's answer would depend on the others of its batch."""
    import onnx

    export_run(trained_run(folder, "gpt2", "int8"), "onnx", tmp_path / "out")
    used = {node.op_type for node in _all_nodes(onnx.load(tmp_path / "out" / "model.onnx"))}
    assert "MatMulInteger" in used
    assert "DynamicQuantizeLinear" not in used


def _all_nodes(model: Any) -> list[Any]:
    return [*model.graph.node, *(node for function in model.functions for node in function.node)]


@pytest.mark.parametrize("to", ["adapter", "merged"])
def test_files_for_peft_and_transformers(folder: Path, tmp_path: Path, to: Any) -> None:
    export = export_run(trained_run(folder, "gpt2", "fp32"), to, tmp_path / "out")
    assert export.parity.passed
    assert export.parity.logit_difference["maximum"] < 1e-4


def test_an_artefact_that_answers_otherwise_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = TARGETS["onnx"]

    def sabotaged(*arguments: Any) -> Any:
        return target.ask(*arguments)[:, ::-1]

    monkeypatch.setitem(TARGETS, "onnx", replace(target, ask=sabotaged))
    export = export_run(trained_run(folder, "bert", "fp32"), "onnx", tmp_path / "out")
    assert not export.parity.passed
    assert export.folder == tmp_path / "out.refused"
    assert not (tmp_path / "out").exists()
    assert json.loads((export.folder / "parity.json").read_text())["passed"] is False


def test_a_few_ties_are_no_refusal_but_many_wrong_rows_are(folder: Path) -> None:
    run = trained_run(folder, "bert", "fp32")
    evaluated = read_predictions(run / "predictions" / "after-validation.csv", "validation")
    clear = replace(evaluated, logits_NC=np.where(evaluated.labels[:, None] == [0, 1], 2.0, -2.0))
    clear = replace(clear, saved_probabilities_NC=None)
    assert compare(clear, clear).passed
    tied = clear.logits_NC.copy()
    tied[0] = [0.01, 0.0]
    near, other = replace(clear, logits_NC=tied), replace(clear, logits_NC=np.where(tied == 0.01, -0.01, tied))
    assert compare(near, other).passed
    wrong = clear.logits_NC.copy()
    wrong[0] *= -1
    parity = compare(clear, replace(clear, logits_NC=wrong))
    assert not parity.passed
    assert parity.disagreeing_rows == [int(clear.rows[0])]
    wrong[0, 0] = np.nan
    assert "not finite" in compare(clear, replace(clear, logits_NC=wrong)).refused[0]


def test_what_cannot_be_exported_is_said_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    plain, int8 = trained_run(folder, "bert", "fp32"), trained_run(folder, "bert", "int8")
    with pytest.raises(UserError, match="not quantized, so it has no int8 weights"):
        export_run(plain, "onnx", tmp_path / "out", precision="int8")
    with pytest.raises(UserError, match="evaluated weights are int8, not int4"):
        export_run(int8, "onnx", tmp_path / "out", precision="int4")
    with pytest.raises(UserError, match="writes float32 ones"):
        export_run(int8, "merged", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="this exists already"):
        export_run(plain, "onnx", tmp_path / "out")
