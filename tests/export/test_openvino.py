"""ONNX exports in OpenVINO: the predictions of onnxruntime, in a precision that is stated."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from feathertune.cli.app import app
from feathertune.errors import UserError
from feathertune.export.exported import ExportedModel
from feathertune.export.exporting import export_run, summary_lines
from feathertune.export.openvino import OpenvinoRuntime
from feathertune.serving.predictor import Predictor

pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytest.importorskip("openvino", reason="the openvino extra is not installed")

TrainedRun = Callable[[str, str], Path]
TEXTS = ["the cat runs", "a dog", "how do big dogs sleep where the cat runs and runs and runs"]


@pytest.fixture(scope="module")
def exported(trained_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(trained_run("gpt2", "fp32"), "onnx", tmp_path_factory.mktemp("openvino") / "export").folder


def test_openvino_gives_the_logits_of_onnxruntime(exported: Path) -> None:
    expected = ExportedModel(exported).logits(TEXTS)
    np.testing.assert_allclose(ExportedModel(exported, runtime="openvino").logits(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_a_quantized_export_is_the_evaluated_model_there_too(
    trained_run: TrainedRun, tmp_path: Path, weights: str
) -> None:
    export = export_run(trained_run("gpt2", weights), "onnx", tmp_path / "export")
    (check,) = export.parity.elsewhere
    assert check.how == "OpenVINO, batches of 25, padded on the right"
    assert check.refused == ()
    assert check.logit_difference["maximum"] < 1e-2
    assert any(line.startswith(f"{check.how}: {check.rows} rows, logit difference") for line in summary_lines(export))


def test_its_precision_is_float32_and_not_its_own_default(exported: Path) -> None:
    runtime = OpenvinoRuntime(exported / "model.onnx", threads=1)
    compiled = runtime._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1


def test_predict_takes_the_runtime(exported: Path) -> None:
    arguments = ["predict", str(exported), *TEXTS, "--format", "json"]
    one, other = (CliRunner().invoke(app, [*arguments, *more]) for more in ([], ["--runtime", "openvino"]))
    assert other.exit_code == 0, other.output
    assert [row["label"] for row in json.loads(one.stdout)] == [row["label"] for row in json.loads(other.stdout)]


def test_a_run_has_no_choice_of_runtimes(trained_run: TrainedRun) -> None:
    with pytest.raises(UserError, match="only an ONNX export has a choice of runtimes"):
        Predictor(trained_run("gpt2", "fp32"), runtime="openvino")


def test_a_file_that_openvino_cannot_load_is_one_clear_error(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "broken")
    (tmp_path / "broken" / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"OpenVINO \d+\.\d+\.\d+ cannot load the model"):
        ExportedModel(tmp_path / "broken", runtime="openvino")
