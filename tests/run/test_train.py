"""What a run records about its origin: the command, if there was one, and the run it started from."""

from __future__ import annotations

from pathlib import Path

import accelerate
import pytest
import torch
from accelerate.state import AcceleratorState

from feathertune.evaluation.metrics import compute_metrics
from feathertune.folders.inputs import EnvironmentRecord
from feathertune.folders.metrics import Metrics
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run import stages
from feathertune.run.context import open_accelerator, recipe_text
from feathertune.run.train import train
from feathertune.system.machine import default_device
from tiny import save_tiny_base, write_tiny_data


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, data, and the run of an adapter."""
    folder = tmp_path_factory.mktemp("runs")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    train(recipe(folder), folder / "lora")
    return folder


def recipe(place: Path, *changes: str) -> Recipe:
    text = f"""
    model: {{source: '{place / "base"}', max_length: 32}}
    data: {{source: '{place / "data"}'}}
    lora: {{rank: 2, targets: all-linear}}
    training: {{epochs: 2, precision: fp32}}
    """
    return parse_recipe(text, list(changes), where="here")


def command_of(run: Path) -> str | None:
    return EnvironmentRecord.read(RunFolder(run).environment).command


def test_a_run_from_python_has_no_command(place: Path, tmp_path: Path) -> None:
    assert command_of(place / "lora") is None
    train(recipe(place, "method=majority"), tmp_path / "baseline")
    assert command_of(tmp_path / "baseline") is None


@pytest.mark.parametrize("method", ["head", "majority"])
def test_a_command_is_kept(place: Path, tmp_path: Path, method: str) -> None:
    train(recipe(place, f"method={method}", "training.epochs=1"), tmp_path / "run", command="feathertune train it.yaml")
    assert command_of(tmp_path / "run") == "feathertune train it.yaml"


@pytest.mark.parametrize("method", ["lora", "majority"])
def test_the_metrics_of_a_stage_are_computed_once(
    place: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []

    def counted(predictions: Predictions, *, intervals: bool = True) -> Metrics:
        if intervals:
            computed.append(predictions.split)
        return compute_metrics(predictions, intervals=intervals)

    monkeypatch.setattr(stages, "compute_metrics", counted)
    run = RunFolder(tmp_path / "run")
    summary = train(recipe(place, f"method={method}"), run.path)
    assert computed == ["validation"] * (1 if method == "majority" else 2)  # after; before and after
    assert Metrics.read(run.evaluation("after", "validation")).to_json() == summary["after"]["validation"]


def test_runs_that_earlier_versions_interrupted_can_be_resumed(place: Path) -> None:
    """Their checkpoints have a fingerprint with the old names of keys and values, and without defaults."""
    changes = ("training.warmup_ratio=0.2", "training.early_stopping_patience=2", "quantize={training: ptq}")
    text = recipe_text(recipe(place, *changes))
    assert '"training":{"epochs":2,"warmup":0.2,"early_stopping":2,"precision":"fp32"},"quantize":' in text
    assert text.endswith('"quantize":{"training":"none"}}')
    searched = recipe(place, "compare.methods=[bag_of_words, lora]", "search={training.warmup_ratio: [0, 0.1]}")
    text = recipe_text(searched)
    assert '"methods":["words","lora"]' in text
    assert '"search":{"training.warmup":[0,0.1]}' in text


def test_a_finished_run_is_returned_as_it_is(place: Path) -> None:
    written = (place / "lora" / "summary.json").read_bytes()
    assert train(recipe(place), place / "lora", resume=True) == Summary.read(place / "lora" / "summary.json").to_json()
    assert (place / "lora" / "summary.json").read_bytes() == written


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is preferred")
def test_training_uses_the_same_device_as_all_other_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate by itself would choose Apple's GPU."""
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(accelerate.state, "is_mps_available", lambda *_, **__: True)
    try:
        assert accelerate.Accelerator().device.type == "mps", "otherwise this test shows nothing"
        AcceleratorState._reset_state(reset_partial_state=True)
        assert open_accelerator().device == default_device()
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_a_run_records_the_epochs_of_the_run_it_started_from(place: Path, tmp_path: Path) -> None:
    rounded = ("method=qat", "quantize={training: ptq}")
    first = train(recipe(place, *rounded, f"init_from={place / 'lora'}"), tmp_path / "first")
    assert first["start"] == {"epochs": 2, "same_data": True}
    write_tiny_data(tmp_path / "data", seed=1)
    start = f"init_from={tmp_path / 'first'}"
    again = train(recipe(place, *rounded, start, f"data.source={tmp_path / 'data'}"), tmp_path / "again")
    assert again["start"] == {"epochs": 2, "same_data": False}, "the epochs of its start's own start"
    assert Summary.read(RunFolder(place / "lora").summary).start is None
