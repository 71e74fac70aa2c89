"""Exports of whole runs: each predicts the whole validation split, and is kept only if the predictions agree."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from feathertune.errors import UserError
from feathertune.export.exporting import export_run, summary_lines
from feathertune.export.parity import compare
from feathertune.export.targets import TARGETS, write_tokenizer_and_labels
from feathertune.folders import opened
from feathertune.folders.export import ExportDescription, ExportFolder
from feathertune.folders.inputs import BaseRecord
from feathertune.folders.run import RunFolder
from feathertune.model import model_folder
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.serving.predictor import Predictor
from feathertune.tokens.tokenized import tokenize
from lively import LABELS
from tiny import tiny_tokenizer

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

TrainedRun = Callable[[str, str], Path]
METHODS = ("fp32", "int8", "int4", "int8-symmetric", "int4-symmetric")


@pytest.mark.parametrize(
    ("base", "weights"),
    [*((base, weights) for base in ("gpt2", "bert", "llama") for weights in METHODS), ("deberta-v3", "int4")],
)
def test_onnx_predicts_as_evaluated(trained_run: TrainedRun, tmp_path: Path, base: str, weights: str) -> None:
    run = trained_run(base, weights)
    export = export_run(run, "onnx", tmp_path / "out")
    assert export.parity.passed, export.parity.refused
    assert export.parity.rows == 60
    assert export.parity.logit_difference["median"] < 1e-4
    parity: dict[str, Any] = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert parity["passed"] is True
    assert any("labels agree in" in line for line in summary_lines(export))
    assert {"model.onnx", "tokenizer.json", "labels.json", "config.json"} <= {p.name for p in export.folder.iterdir()}


def test_an_export_folder_predicts_as_its_run(trained_run: TrainedRun, tmp_path: Path) -> None:
    run = trained_run("bert", "int8")
    export_run(run, "onnx", tmp_path / "out")
    texts = read_predictions(run / "predictions" / "after-validation.csv", "validation").texts[:7]
    ours, exported = Predictor(run), Predictor(tmp_path / "out")
    pairs = zip(exported.predict(list(texts)), ours.predict(list(texts)), strict=True)
    assert all(one.label == other.label and abs(one.score - other.score) < 1e-2 for one, other in pairs)
    pinned = ExportDescription.read(tmp_path / "out" / "export.json").base_sha256
    assert pinned == BaseRecord.read(RunFolder(run).base).sha256


@pytest.mark.parametrize("to", ["adapter", "merged"])
def test_files_for_peft_and_transformers(trained_run: TrainedRun, tmp_path: Path, to: Any) -> None:
    run = shutil.copytree(trained_run("gpt2", "fp32"), tmp_path / "run")
    (run / "adapter" / ".labels.json.ab12.tmp").touch()  # what a killed run may leave
    export = export_run(run, to, tmp_path / "out")
    assert not [path for path in export.folder.iterdir() if path.name.startswith(".")]
    assert export.parity.passed
    assert export.parity.logit_difference["maximum"] < 1e-4


def test_the_run_is_opened_and_its_recipe_parsed_once(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("open_run", "load_recipe"):
        function = getattr(opened, name)
        monkeypatch.setattr(
            opened, name, lambda path, name=name, function=function: calls.append(name) or function(path)
        )
    export_run(trained_run("bert", "fp32"), "adapter", tmp_path / "out")
    assert calls == ["open_run", "load_recipe"]


@pytest.mark.parametrize("base", ["gpt2", "bert", "llama"])
def test_a_merged_model_is_checked_with_padded_batches_of_transformers(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    """The wrong token is pooled if config and tokenizer disagree on the pad token."""
    assert export_run(trained_run(base, "fp32"), "merged", tmp_path / "out").parity.passed
    monkeypatch.setattr(model_folder, "padding_token", lambda classifier, tokenizer: 3)
    export = export_run(trained_run(base, "fp32"), "merged", tmp_path / "other")
    assert export.parity.passed == (base == "bert")


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_exported_tokenizer_cuts_on_the_same_side(tmp_path: Path, side: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.truncation_side = side
    folder, text = ExportFolder(tmp_path), "sun moon tree river long"
    write_tokenizer_and_labels(tokenizer, 5, LABELS, folder)
    ids = Tokenizer.from_file(str(folder.tokenizer)).encode(text).ids
    assert ids == tokenize(tokenizer, [text], 5)[0].tolist()
    assert tokenizer.decode(ids) == {"left": "[CLS] tree river long [SEP]", "right": "[CLS] sun moon tree [SEP]"}[side]


def test_an_artefact_that_predicts_something_else_is_refused(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = TARGETS["onnx"]

    def sabotaged(*arguments: Any) -> Any:
        outputs = target.predict(*arguments)
        return replace(outputs, logits_KC=outputs.logits_KC[:, ::-1])

    monkeypatch.setitem(TARGETS, "onnx", replace(target, predict=sabotaged))
    export = export_run(trained_run("bert", "fp32"), "onnx", tmp_path / "out")
    assert not export.parity.passed
    assert export.folder == tmp_path / "out.refused"
    assert not (tmp_path / "out").exists()
    assert json.loads((export.folder / "parity.json").read_text())["passed"] is False


def test_a_few_ties_are_no_refusal_but_many_wrong_rows_are(trained_run: TrainedRun) -> None:
    run = trained_run("bert", "fp32")
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
    assert parity.disagreeing_rows == (int(clear.rows[0]),)
    wrong[0, 0] = np.nan
    assert "not finite" in compare(clear, replace(clear, logits_NC=wrong)).refused[0]


def predictions_with(some: Predictions, labels: np.ndarray, margin_N: np.ndarray) -> Predictions:
    """Predictions in which the logit of the second class is `margin_N` above that of the first."""
    count, logits_NC = len(labels), np.stack([-margin_N / 2, margin_N / 2], axis=1).astype(np.float32)
    return Predictions("validation", some.label_names, np.arange(count), [""] * count, labels, None, logits_NC)


def test_two_nearly_tied_rows_may_swap_ranks_and_others_may_not(trained_run: TrainedRun) -> None:
    """With 39 rows, one swapped pair moves ROC AUC by a quarter of a point."""
    evaluated = read_predictions(trained_run("bert", "fp32") / "predictions" / "after-validation.csv", "validation")
    labels, margins = np.arange(39) % 2, np.where(np.arange(39) % 2, 3.0, -3.0)
    margins[:2] = 0.9, 0.9001  # a negative and a positive, in the right order
    clear = predictions_with(evaluated, labels, margins)
    swapped, far = margins.copy(), margins.copy()
    swapped[1], far[1] = 0.8999, 0.6
    assert compare(clear, predictions_with(evaluated, labels, swapped)).passed
    parity = compare(clear, predictions_with(evaluated, labels, far))
    assert [reason.split()[0] for reason in parity.refused] == ["roc_auc"]


def test_a_merged_export_is_for_other_libraries(trained_run: TrainedRun, tmp_path: Path) -> None:
    export_run(trained_run("bert", "fp32"), "merged", tmp_path / "out")
    with pytest.raises(UserError, match="target merged is read by transformers or PEFT, not by `predict`"):
        Predictor(tmp_path / "out")


def test_what_cannot_be_exported_is_refused_before_anything_is_written(trained_run: TrainedRun, tmp_path: Path) -> None:
    plain, int8 = trained_run("bert", "fp32"), trained_run("bert", "int8")
    with pytest.raises(UserError, match="not quantized, so it has no int8 weights"):
        export_run(plain, "onnx", tmp_path / "out", precision="int8")
    with pytest.raises(UserError, match="evaluated weights are int8, not int4"):
        export_run(int8, "onnx", tmp_path / "out", precision="int4")
    with pytest.raises(UserError, match="writes float32 weights"):
        export_run(int8, "merged", tmp_path / "out")
    with pytest.raises(UserError, match="--to adapter writes fp32 weights"):
        export_run(plain, "adapter", tmp_path / "out", precision="int4")
    with pytest.raises(UserError, match=r"are asymmetric, and this run's are symmetric\n.*--to onnx"):
        export_run(trained_run("bert", "int8-symmetric"), "executorch", tmp_path / "out")
    with pytest.raises(UserError, match=r"opset 17 is not supported[^$]*20 to 23"):
        export_run(plain, "onnx", tmp_path / "out", opset=17)
    with pytest.raises(UserError, match="--to merged has no ONNX operators"):
        export_run(plain, "merged", tmp_path / "out", opset=21)
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="this exists already"):
        export_run(plain, "onnx", tmp_path / "out")


@pytest.mark.parametrize(("weights", "options"), [("int8", {"tuned": "vnni"}), ("int4", {"purpose": "web"})])
def test_files_for_some_machines_predict_as_evaluated_and_say_what_they_need(
    trained_run: TrainedRun, tmp_path: Path, weights: str, options: dict[str, Any]
) -> None:
    export = export_run(trained_run("gpt2", weights), "onnx", tmp_path / "out", **options)
    assert export.parity.passed, export.parity.refused
    assert export.parity.logit_difference["median"] < 1e-4
    described = json.loads((tmp_path / "out" / "export.json").read_text())
    assert described["needs"] == (["exact-int8-products"] if "tuned" in options else [])
    nodes = onnx.load(tmp_path / "out" / "model.onnx").graph.node
    kinds = {(node.domain, node.op_type) for node in nodes}
    assert ("com.microsoft", "MatMulNBits") not in kinds
    assert (("", "If") in kinds) == ("web" in options.values())  # its head is int8, on any processor


@pytest.mark.parametrize(
    ("to", "weights", "options", "message"),
    [
        ("merged", "fp32", {"tuned": "vnni"}, "--to merged has no ONNX operators"),
        ("executorch", "int8", {"purpose": "web"}, "--to executorch has no ONNX operators"),
        ("onnx", "int8", {"tuned": "vnni", "purpose": "web"}, "--tuned or --for, not both"),
        ("onnx", "int8", {"tuned": "avx2"}, r"--tuned: 'avx2' is not supported.*\n.*vnni"),
        ("onnx", "fp32", {"tuned": "vnni"}, "not quantized, so it has no integer products"),
        ("onnx", "int8", {"opset": 19}, "opset 19 is not supported.*\n.*20 to 23"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    trained_run: TrainedRun, tmp_path: Path, to: Any, weights: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        export_run(trained_run("bert", weights), to, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("to", "missing", "message"),
    [
        ("onnx", "onnx", r"onnx, which is not installed\s+pip install 'feathertune\[onnx\]'"),
        ("onnx", "onnxscript", r"onnxscript, which is not installed\s+pip install 'feathertune\[onnx\]'"),
        ("onnx", "onnxruntime", r"onnxruntime, which is not installed\s+pip install 'feathertune\[onnx\]'"),
        ("executorch", "executorch", r"executorch.*, which is not installed\s+pip install 'feathertune\[executorch\]'"),
    ],
)
def test_a_missing_extra_is_named_before_anything_is_written(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: Any, missing: str, message: str
) -> None:
    run = trained_run("bert", "fp32")
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=message):
        export_run(run, to, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_export_without_its_runtime_names_what_to_install(
    trained_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_run(trained_run("bert", "fp32"), "onnx", tmp_path / "out")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime, which is not installed\s+pip install 'feathertune\[onnx\]'"):
        Predictor(tmp_path / "out")
