"""A run from the Hub, interrupted, and resumed after its dataset and model have changed there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest

from feathertune.folders.inputs import BaseRecord, DataRecord
from feathertune.folders.run import RunFolder
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.training.reporter import SilentReporter
from tiny import save_tiny_base, write_tiny_data

RECIPE = """
model: {source: owner/model}
data: {source: owner/data}
lora: {rank: 4, targets: all-linear}
training: {epochs: 2, batch_size: 16, learning_rate: 0.01, precision: fp32}
"""


class Hub:
    """Has one dataset and one model, whose main branches point to a commit."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.main = folder, ""
        self.move("a" * 40, seed=0)

    def move(self, commit: str, seed: int) -> None:
        self.main = commit
        write_tiny_data(self.folder / "data" / commit, seed=seed)
        save_tiny_base(self.folder / "model" / commit)

    def dataset_info(self, hub_id: str, *, revision: str | None = None) -> SimpleNamespace:
        return SimpleNamespace(id=hub_id, sha=revision or self.main)

    def load_dataset(self, _: str, *, revision: str) -> Any:
        files = {path.stem: str(path) for path in (self.folder / "data" / revision).glob("*.jsonl")}
        return datasets.DatasetDict({name: datasets.Dataset.from_json(file) for name, file in files.items()})

    def snapshot_download(self, _: str, *, revision: str | None, **__: object) -> str:
        return str(self.folder / "model" / (revision or self.main))


class Interrupting(SilentReporter):
    """Interrupts after the first epoch."""

    def epoch(self, *_: Any) -> None:
        raise KeyboardInterrupt


def test_a_run_is_continued_with_the_commits_it_started_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, recipe = Hub(tmp_path), parse_recipe(RECIPE, [], where="here")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(datasets, "load_dataset", hub.load_dataset)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    whole = train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", reporter=Interrupting())
    hub.move("b" * 40, seed=1)
    resumed = train(recipe, tmp_path / "run", resume=True)
    assert resumed["after"] == whole["after"]
    run, new = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "new")
    assert DataRecord.read(run.data).origin["revision"] == BaseRecord.read(run.base).revision == "a" * 40
    train(recipe, new.path)
    assert DataRecord.read(new.data).origin["revision"] == BaseRecord.read(new.base).revision == "b" * 40
