"""What a run writes of how it was made: by which command, if by one, and from which run it went on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from accelerate.state import AcceleratorState

from feathertune.folders.run import RunFolder
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run import train as run
from feathertune.run.train import train
from feathertune.system.files import read_json
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


def command_of(run: Path) -> Any:
    return read_json(RunFolder(run).environment)["command"]


def test_from_python_there_is_no_command_and_none_is_made_up(place: Path, tmp_path: Path) -> None:
    assert command_of(place / "lora") is None
    train(recipe(place, "method=majority"), tmp_path / "baseline")
    assert command_of(tmp_path / "baseline") is None


@pytest.mark.parametrize("method", ["head", "majority"])
def test_a_command_is_kept(place: Path, tmp_path: Path, method: str) -> None:
    train(recipe(place, f"method={method}", "training.epochs=1"), tmp_path / "run", command="feathertune train it.yaml")
    assert command_of(tmp_path / "run") == "feathertune train it.yaml"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device goes before any other")
def test_training_is_where_every_other_command_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPU would be accelerate's choice, and nobody else's here."""
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(accelerate.state, "is_mps_available", lambda *_, **__: True)
    try:
        assert accelerate.Accelerator().device.type == "mps", "else this shows nothing"
        AcceleratorState._reset_state(reset_partial_state=True)
        assert run._accelerator().device == default_device()
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_a_run_that_goes_on_knows_what_its_start_chose(place: Path, tmp_path: Path) -> None:
    rounded = ("method=qat", "quantize={training: none}")
    first = train(recipe(place, *rounded, f"init_from={place / 'lora'}"), tmp_path / "first")
    assert first["start"] == {"epochs": 2, "same_data": True}
    write_tiny_data(tmp_path / "data", seed=1)
    start = f"init_from={tmp_path / 'first'}"
    again = train(recipe(place, *rounded, start, f"data.source={tmp_path / 'data'}"), tmp_path / "again")
    assert again["start"] == {"epochs": 2, "same_data": False}, "the epochs of what its own start began with"
    assert "start" not in read_json(RunFolder(place / "lora").summary)
