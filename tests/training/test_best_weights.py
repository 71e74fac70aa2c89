"""The weights of the best epoch fit the checkpoint that names it, wherever training is killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from feathertune.training import record
from feathertune.training.checkpoint import latest_checkpoint
from feathertune.training.reporter import SilentReporter
from short_training import Recorder, lora_classifier, metrics, random_set, same, scripted, train, weights_of

DATA = random_set(44)


class Killed(Exception):
    """Ends a training in these tests."""


class KilledAt(SilentReporter):
    """Ends the training at a step."""

    def __init__(self, step: int) -> None:
        self.at_step = step

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        if step == self.at_step:
            raise Killed


def killed_around(epoch: int, *, saved: bool) -> Callable[..., None]:
    """A `save_checkpoint` that is killed at the end of an epoch: before it starts, or after it has finished."""

    def save(*arguments: Any) -> None:
        progress = arguments[3]
        at_the_end = progress.epoch == epoch and progress.steps_in_epoch == 0
        if not at_the_end or saved:
            record_save(*arguments)
        if at_the_end:
            raise Killed

    record_save = record.save_checkpoint
    return save


def bests(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("best*"))


@pytest.fixture
def by_epoch(tmp_path: Path) -> list[dict[str, torch.Tensor]]:
    """The weights after each of two epochs."""
    classifier = lora_classifier(seed=7)
    recorder = Recorder(classifier)
    train(tmp_path / "whole", classifier, DATA, epochs=2, evaluate=scripted(0.5, 0.4), reporter=recorder)
    assert not same(*recorder.epochs)
    return recorder.epochs


@pytest.mark.parametrize(
    ("saved", "then", "best"),
    [(False, 0.6, 1), (False, 0.4, 2), (True, 0.6, 2)],
    ids=["worse this time", "better again", "not evaluated again"],
)
def test_killed_between_the_best_weights_and_the_end_of_their_checkpoint(
    tmp_path: Path,
    saved: bool,
    then: float,
    best: int,
    by_epoch: list[dict[str, torch.Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The weights of the second epoch are written. Trained again, it may be worse if the device rounds differently."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(record, "save_checkpoint", killed_around(2, saved=saved))
        with pytest.raises(Killed):
            train(run, lora_classifier(seed=7), DATA, epochs=2, evaluate=scripted(0.5, 0.4))
    assert bests(run) == ["best-epoch-1.safetensors", "best-epoch-2.safetensors"]
    classifier = lora_classifier(seed=7)
    outcome = train(run, classifier, DATA, epochs=2, evaluate=scripted(then), resume=True)
    assert outcome.progress.best_epoch == best
    assert same(weights_of(classifier), by_epoch[best - 1])
    assert bests(run) == [f"best-epoch-{best}.safetensors"]


def test_a_run_of_an_earlier_version_is_continued(tmp_path: Path, by_epoch: list[dict[str, torch.Tensor]]) -> None:
    """It stored the best weights in `best.safetensors`, whatever the epoch."""
    with pytest.raises(Killed):
        train(tmp_path, lora_classifier(seed=7), DATA, epochs=2, evaluate=scripted(0.5), reporter=KilledAt(8))
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "best-epoch-1.safetensors").rename(checkpoints / "best.safetensors")
    assert latest_checkpoint(checkpoints) == checkpoints / "step-000007"
    classifier = lora_classifier(seed=7)
    train(tmp_path, classifier, DATA, epochs=2, evaluate=lambda: metrics(0.9), resume=True)
    assert same(weights_of(classifier), by_epoch[0])
    assert bests(tmp_path) == ["best-epoch-1.safetensors"]
