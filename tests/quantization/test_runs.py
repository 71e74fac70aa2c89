"""Complete runs: LoRA followed by quantization, with training (QAT) or without (PTQ)."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.errors import UserError
from feathertune.prediction.files import read_predictions
from feathertune.quantization.fake import FakeQuantizedLinear
from feathertune.quantization.integer import IntegerLinear
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.context import fingerprint
from feathertune.run.evaluate import evaluate_run
from feathertune.run.load import load_trained
from feathertune.run.outline import introduce
from feathertune.run.prepare import prepare
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from lively import adapted_names
from tiny import save_tiny_base, write_tiny_data


class Runs:
    """Trains recipes on one tiny base and its data, each only once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_tiny_data(folder / "data", train=160, validation=60)

    def recipe(self, *changes: str, base: str = "bert") -> Recipe:
        if not (self.folder / base).is_dir():
            save_tiny_base(self.folder / base, base)
        text = f"""
        model: {{source: '{self.folder / base}'}}
        data: {{source: '{self.folder / "data"}'}}
        lora: {{rank: 4, alpha: 8, dropout: 0.1, targets: all-linear}}
        training: {{epochs: 2, learning_rate: 0.01, precision: fp32}}
        """
        return parse_recipe(text, list(changes), where="here")

    def run(self, name: str, *changes: str, base: str = "bert") -> Path:
        folder = self.folder / "runs" / f"{base}-{name}"
        if not folder.is_dir():
            train(self.recipe(*changes, base=base), folder)
        return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("quantized"))


QAT = ("method=qat", "quantize={weights: int4, epochs: 2}")


def summary_of(run: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return value


@pytest.mark.parametrize("base", ["bert", "gpt2", "llama"])
def test_qat_trains_lora_first_and_then_with_fake_quantization(runs: Runs, base: str) -> None:
    run = runs.run("qat", *QAT, base=base)
    summary = summary_of(run)
    assert {"before", "float", "ptq", "after", "majority"} <= summary.keys()
    quantization = summary["quantization"]
    assert quantization["training"]["epochs"] == 2
    assert quantization["weights_bytes"] == (run / "quantized" / "weights.safetensors").stat().st_size
    assert quantization["weights_bytes"] < 0.4 * quantization["float32_bytes"], "tiny models are mostly norms"
    assert (run / "metrics.jsonl").read_text().count('"event": "epoch"') == 2
    assert (run / "metrics-qat.jsonl").read_text().count('"event": "epoch"') == 2
    for stage in ("before", "float", "ptq", "after"):
        assert (run / "evaluation" / f"{stage}-validation.json").is_file()
        assert (run / "predictions" / f"{stage}-validation.csv").is_file()


def test_the_evaluated_model_is_the_one_that_predicts(runs: Runs) -> None:
    run = runs.run("qat", *QAT)
    trained = load_trained(run)
    kinds = {type(module) for module in trained.classifier.modules()}
    assert IntegerLinear in kinds
    assert not {torch.nn.Linear, torch.nn.Embedding, FakeQuantizedLinear} & kinds
    assert evaluate_run(run).to_json() == summary_of(run)["after"]["validation"]
    file = read_predictions(run / "predictions" / "after-validation.csv", "validation")
    predictions = Predictor(run).predict(file.texts)
    assert [one.label for one in predictions] == [file.label_names[index] for index in file.predicted]
    probabilities_NC = np.array([list(one.probabilities.values()) for one in predictions])
    np.testing.assert_array_equal(probabilities_NC, file.probabilities_NC)


def test_the_quantized_folder_needs_no_base(runs: Runs, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "moved"
    shutil.copytree(runs.run("qat", *QAT), run)
    (run / "base.json").unlink()
    shutil.rmtree(run / "adapter")
    assert Predictor(run).predict("the cat")[0].label in ("no", "yes")
    with pytest.raises(UserError, match="a quantized run holds the whole model"):
        load_trained(run, base=str(runs.folder / "bert"))


def test_the_adapter_is_the_one_that_was_quantized_and_peft_reads_it(runs: Runs) -> None:
    """Merged in float32 and quantized again, the saved adapter gives the deployed integers."""
    from feathertune.model.base import load_base
    from feathertune.model.peft_files import load_adapter
    from feathertune.model.sources import find_base
    from feathertune.quantization.convert import convert
    from feathertune.quantization.scheme import Scheme, plan_quantization

    run = runs.run("qat", *QAT)
    classifier = load_base(find_base(str(runs.folder / "bert")), ("no", "yes"), 0)
    load_adapter(classifier, run / "adapter")
    assert adapted_names(classifier.model)
    convert(classifier, plan_quantization(classifier, Scheme("int4")))
    deployed = dict(load_trained(run).classifier.model.named_buffers())
    for name, tensor in classifier.model.named_buffers():
        assert torch.equal(tensor, deployed[name]), name


def test_starting_from_a_run_trains_no_lora_again(runs: Runs) -> None:
    lora = runs.run("lora")
    run = runs.run("from", *QAT, f"init_from={lora}", "lora.rank=2")
    summary = summary_of(run)
    assert summary["float"] == summary_of(lora)["after"], "at the same precision, the start is where LoRA ended"
    assert not (run / "metrics-qat.jsonl").exists(), "the only training's record has the usual name"
    assert summary["epochs"] == 2
    assert json.loads((run / "adapter" / "adapter_config.json").read_text())["r"] == 4, "the run's rank"
    lines = introduce(prepare(runs.recipe(*QAT, f"init_from={lora}", "lora.rank=2"), torch.device("cpu")))
    assert "note: lora.rank is 4, as in the run to start from, not 2" in lines
    assert not any("lora.rank" in line for line in introduce(prepare(runs.recipe(), torch.device("cpu"))))


def test_a_run_that_began_with_another_adapter_is_not_resumed(runs: Runs, tmp_path: Path) -> None:
    start = shutil.copytree(runs.run("lora"), tmp_path / "lora")
    recipe = runs.recipe(*QAT, f"init_from={start}")
    began = fingerprint(prepare(recipe, torch.device("cpu")), 1)
    assert fingerprint(prepare(recipe, torch.device("cpu")), 1) == began
    shutil.rmtree(start)
    train(runs.recipe("training.seed=1"), start)
    assert fingerprint(prepare(recipe, torch.device("cpu")), 1) != began


@pytest.mark.parametrize("method", ["head", "full", "lora"])
def test_any_method_can_be_quantized_afterwards(runs: Runs, method: str) -> None:
    run = runs.run(f"ptq-{method}", f"method={method}", "quantize={weights: int8, training: ptq}")
    summary = summary_of(run)
    assert "ptq" not in summary
    assert summary["quantization"]["training"] is None
    assert summary["after"]["validation"]["loss"] == pytest.approx(summary["float"]["validation"]["loss"], abs=0.05)
    assert (run / ("model" if method == "full" else "adapter")).is_dir()
    assert evaluate_run(run).to_json() == summary["after"]["validation"]


def test_ptq_of_a_finished_run_trains_nothing(runs: Runs) -> None:
    run = runs.run("ptq-from", "method=qat", f"init_from={runs.run('lora')}", "quantize={training: ptq}")
    summary = summary_of(run)
    assert (summary["epochs"], summary["train_seconds"], summary["train_examples_per_second"]) == (0, 0.0, None)


def test_ptq_is_what_qat_starts_from(runs: Runs) -> None:
    ptq = runs.run("ptq4", "method=qat", "quantize={weights: int4, training: ptq}")
    assert summary_of(runs.run("qat", *QAT))["ptq"] == summary_of(ptq)["after"]


@pytest.mark.parametrize("training", ["qat", "ptq"])
def test_symmetric_activations(runs: Runs, training: str) -> None:
    quantize = f"quantize={{weights: int8, activations: symmetric, training: {training}, epochs: 1}}"
    run = runs.run(f"symmetric-{training}", "method=qat", f"init_from={runs.run('lora')}", quantize)
    layers = [m for m in load_trained(run).classifier.modules() if isinstance(m, IntegerLinear)]
    assert {layer.activations for layer in layers} == {"symmetric"}
    assert summary_of(run)["quantization"]["activations"] == "int8, symmetric, one scale a token"
    assert evaluate_run(run).to_json() == summary_of(run)["after"]["validation"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_distillation_and_bf16(runs: Runs, precision: str) -> None:
    run = runs.run(f"distilled-{precision}", *QAT, "quantize.distill={}", f"training.precision={precision}")
    summary = summary_of(run)
    assert summary["precision"] == precision
    assert summary["after"]["validation"]["accuracy"] >= summary["majority"]["validation"]["accuracy"]
    assert evaluate_run(run).to_json() == summary["after"]["validation"]


class Stop(Exception):
    pass


def test_stopped_in_the_second_training_and_resumed_it_ends_the_same(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feathertune.training.reporter import SilentReporter

    class Impatient(SilentReporter):
        epochs = 0

        def epoch(self, *_: Any) -> None:
            self.epochs += 1
            if self.epochs == 4:  # LoRA's two, and the second of QAT
                raise Stop

    whole = runs.run("qat", *QAT)
    with pytest.raises(Stop):
        train(runs.recipe(*QAT), tmp_path / "run", reporter=Impatient())
    assert not (tmp_path / "run" / "summary.json").exists()
    resumed = train(runs.recipe(*QAT), tmp_path / "run", resume=True)
    expected, stages = summary_of(whole), ("float", "ptq", "after")
    assert {key: resumed[key] for key in stages} == {key: expected[key] for key in stages}
    name = "quantized/weights.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


def test_a_start_that_does_not_fit_is_refused_before_anything_is_written(runs: Runs, tmp_path: Path) -> None:
    lora = runs.run("lora")
    for changes, base, message in (
        ([f"init_from={tmp_path / 'none'}"], "bert", "no such run folder"),
        ([f"init_from={lora}"], "electra", "trained on another base"),
        ([f"init_from={runs.run('head', 'method=head')}"], "bert", "trained with method head"),
        (["quantize.exclude=[quary]"], "bert", "did you mean 'query'"),
    ):
        with pytest.raises(UserError, match=message):
            train(runs.recipe(*QAT, *changes, base=base), tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["quantize={weights: int4}"], "quantize.training=qat goes with `method: qat`"),
        (["init_from=x"], "`init_from` goes with `method: qat`"),
        (["method=qat", "quantize.wights=int4"], "did you mean 'weights'"),
        (["method=qat", "quantize.distill.temprature=1"], "did you mean 'temperature'"),
    ],
)
def test_contradictory_recipes(runs: Runs, changes: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        runs.recipe(*changes)
