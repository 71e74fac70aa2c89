"""The same seed gives the same weights, bit for bit, whether training is interrupted and resumed or not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from feathertune.errors import UserError
from feathertune.folders.metrics import Metrics
from feathertune.training import record
from feathertune.training.checkpoint import (
    Progress,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from feathertune.training.loop import Outcome
from feathertune.training.optimizer import Plateau, build_optimizer
from feathertune.training.reporter import SilentReporter
from short_training import log_of, lora_classifier, metrics, random_set, same, train, weights_of

DATA = random_set(44)  # six steps of eight an epoch, the last of four


class Crash(Exception):
    """Interrupts a run in these tests."""


class CrashAfter(SilentReporter):
    """Interrupts the run at a step, or when an epoch is reported."""

    def __init__(self, step: int = 0, epoch: int = 0) -> None:
        self.at_step, self.at_epoch = step, epoch

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        if step == self.at_step:
            raise Crash

    def epoch(self, epoch: int, train_loss: float, validation: Metrics, best: bool) -> None:
        if epoch == self.at_epoch:
            raise Crash


def run(folder: Path, seed: int = 0, **options: Any) -> tuple[dict[str, torch.Tensor], Outcome]:
    """A run with dropout everywhere; the validation loss rises in the third of four epochs."""
    classifier = lora_classifier(dropout=0.2, seed=7)
    losses = {0: 0.9, 1: 0.5, 2: 0.8, 3: 0.6}

    def evaluate() -> Metrics:
        logged = [entry for entry in log_of(folder) if entry["event"] == "epoch"]
        return metrics(losses[len(logged)])

    outcome = train(folder, classifier, DATA, evaluate=evaluate, seed=seed, epochs=4, schedule="plateau", **options)
    return weights_of(classifier), outcome


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, torch.Tensor], Outcome, Path]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    return *run(folder), folder


def assert_as_uninterrupted(
    folder: Path,
    resumed: tuple[dict[str, torch.Tensor], Outcome],
    uninterrupted: tuple[dict[str, torch.Tensor], Outcome, Path],
) -> None:
    weights, outcome, reference = uninterrupted
    assert same(resumed[0], weights)
    assert log_of(folder) == log_of(reference)
    assert (resumed[1].progress.best_epoch, resumed[1].progress.best_value) == (2, 0.5)
    assert resumed[1].progress.plateau == outcome.progress.plateau
    assert resumed[1].progress.examples_seen == outcome.progress.examples_seen == 4 * 44


def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path, uninterrupted: tuple[dict[str, torch.Tensor], Outcome, Path]
) -> None:
    torch.manual_seed(12345)  # earlier random numbers do not matter
    assert_as_uninterrupted(tmp_path, run(tmp_path), uninterrupted)
    others, _ = run(tmp_path / "other", seed=1)
    assert not same(others, uninterrupted[0])


def test_dropout_is_on_while_training(
    tmp_path: Path, uninterrupted: tuple[dict[str, torch.Tensor], Outcome, Path]
) -> None:
    classifier = lora_classifier(dropout=0.0, seed=7)
    train(tmp_path, classifier, DATA, epochs=4, schedule="plateau", evaluate=lambda: metrics(0.5))
    assert not same(weights_of(classifier), uninterrupted[0])


@pytest.mark.parametrize("crash", [CrashAfter(step=1), CrashAfter(step=10), CrashAfter(step=12), CrashAfter(step=15)])
@pytest.mark.parametrize("every_step", [True, False])
def test_resumed_in_an_epoch(tmp_path: Path, crash: CrashAfter, every_step: bool, uninterrupted: Any) -> None:
    seconds = 0.0 if every_step else 600.0
    with pytest.raises(Crash):
        run(tmp_path, reporter=crash, checkpoint_seconds=seconds)
    latest = latest_checkpoint(tmp_path / "checkpoints")
    saved = (crash.at_step - 1) if every_step else 6 * ((crash.at_step - 1) // 6)
    assert (0 if latest is None else int(latest.name.removeprefix("step-"))) == saved
    assert_as_uninterrupted(tmp_path, run(tmp_path, resume=True, checkpoint_seconds=seconds), uninterrupted)


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_resumed_after_an_evaluation_that_was_not_saved(tmp_path: Path, epoch: int, uninterrupted: Any) -> None:
    with pytest.raises(Crash):
        run(tmp_path, reporter=CrashAfter(epoch=epoch))
    assert_as_uninterrupted(tmp_path, run(tmp_path, resume=True), uninterrupted)


@pytest.mark.parametrize("broken", ["save_weights", "save_checkpoint"])
def test_resumed_between_the_log_and_the_checkpoint(
    tmp_path: Path, broken: str, uninterrupted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of the epoch is written and its checkpoint is not: the resumed run must not write the line twice."""
    original = getattr(record, broken)

    def crash_at_the_end_of_an_epoch(*arguments: Any) -> None:
        if broken == "save_weights" or arguments[3].steps_in_epoch == 0:
            raise Crash
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(record, broken, crash_at_the_end_of_an_epoch)
        with pytest.raises(Crash):
            run(tmp_path)
    assert log_of(tmp_path)[-1]["event"] == "epoch"
    assert_as_uninterrupted(tmp_path, run(tmp_path, resume=True), uninterrupted)


def test_no_checkpoint_replaces_the_only_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing a checkpoint a second time would leave none for a moment. A process killed then would lose the run."""
    steps = []
    monkeypatch.setattr(record, "save_checkpoint", lambda *arguments: steps.append(arguments[3].step))
    run(tmp_path)
    assert steps == list(range(1, 25))


def test_resumed_again_and_again(tmp_path: Path, uninterrupted: Any) -> None:
    for step in range(3, 24, 4):
        with pytest.raises(Crash):
            run(tmp_path, reporter=CrashAfter(step=step), resume=True)
    assert_as_uninterrupted(tmp_path, run(tmp_path, resume=True), uninterrupted)


def test_resuming_a_finished_training_changes_nothing(tmp_path: Path, uninterrupted: Any) -> None:
    shutil.copytree(uninterrupted[2], tmp_path / "copy")
    weights, outcome = run(tmp_path / "copy", resume=True, reporter=CrashAfter(step=24))
    assert_as_uninterrupted(tmp_path / "copy", (weights, outcome), uninterrupted)
    assert not outcome.stopped_early


def test_max_steps_are_counted_over_interruptions(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", max_steps=11)
    with pytest.raises(Crash):
        run(tmp_path / "broken", max_steps=11, reporter=CrashAfter(step=10))
    resumed = run(tmp_path / "broken", max_steps=11, resume=True)
    assert same(resumed[0], whole[0])
    assert (resumed[1].progress.step, resumed[1].progress.epoch) == (11, whole[1].progress.epoch)


def test_early_stopping_is_remembered(tmp_path: Path) -> None:
    _, whole = run(tmp_path / "whole", early_stopping_patience=1)
    assert (whole.stopped_early, whole.progress.epoch) == (True, 3)
    with pytest.raises(Crash):
        run(tmp_path / "broken", early_stopping_patience=1, reporter=CrashAfter(step=14))
    _, resumed = run(tmp_path / "broken", early_stopping_patience=1, resume=True)
    assert (resumed.stopped_early, resumed.progress.epoch, resumed.progress.best_epoch) == (True, 3, 2)
    _, again = run(tmp_path / "broken", early_stopping_patience=1, resume=True, reporter=CrashAfter(epoch=4))
    assert (again.stopped_early, again.progress.epoch) == (True, 3)


def test_half_written_checkpoints_and_lines_are_ignored(tmp_path: Path, uninterrupted: Any) -> None:
    with pytest.raises(Crash):
        run(tmp_path, reporter=CrashAfter(step=9))
    checkpoints = tmp_path / "checkpoints"
    whole = latest_checkpoint(checkpoints)
    assert whole == checkpoints / "step-000008"
    shutil.copytree(whole, checkpoints / ".step-000010.tmp")
    shutil.copytree(whole, checkpoints / "step-000011")
    (checkpoints / "step-000011" / "state.json").unlink()
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "step", "step": 8, "lo')
    assert latest_checkpoint(checkpoints) == whole
    assert_as_uninterrupted(tmp_path, run(tmp_path, resume=True), uninterrupted)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["best-epoch-2.safetensors", "step-000024"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Crash):
        run(tmp_path, reporter=CrashAfter(step=9))
    with pytest.raises(UserError, match=r"made with another recipe.*\n.*Resume with the recipe"):
        run(tmp_path, resume=True, fingerprint="another run")


def test_resuming_before_the_first_checkpoint_starts_from_the_beginning(tmp_path: Path, uninterrupted: Any) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"event": "step", "step": 3}\n', encoding="utf-8")
    assert_as_uninterrupted(tmp_path, run(tmp_path, resume=True), uninterrupted)


def test_a_checkpoint_restores_every_number(tmp_path: Path) -> None:
    classifier = lora_classifier()
    weights = dict(classifier.model.named_parameters())
    weights = {name: tensor for name, tensor in weights.items() if tensor.requires_grad}
    optimizer = build_optimizer(classifier, learning_rate=0.1, head_learning_rate=0.2, weight_decay=0.01)
    for tensor in weights.values():
        tensor.grad = torch.rand_like(tensor)
    optimizer.step()
    progress = Progress(7, 1, 2, 0.1 + 0.2, 3, 1, 1 / 3, 0.7, Plateau(0.5, bad_epochs=1), 1e-17, 99)
    save_checkpoint(tmp_path, weights, optimizer, progress, "f")
    json.loads((tmp_path / "step-000007" / "state.json").read_text(), parse_constant=lambda name: pytest.fail(name))

    fresh = lora_classifier(seed=1)
    live = {name: fresh.model.get_parameter(name) for name in weights}
    restored = build_optimizer(fresh, learning_rate=0.1, head_learning_rate=0.2, weight_decay=0.01)
    assert load_checkpoint(tmp_path / "step-000007", live, restored, "f") == progress
    assert same(dict(live), dict(weights))
    state, theirs = restored.state_dict(), optimizer.state_dict()
    assert state["param_groups"] == theirs["param_groups"]
    for index, values in theirs["state"].items():
        assert same(state["state"][index], values)
    load_weights(tmp_path / "step-000007" / "weights.safetensors", live)
    assert all(tensor.requires_grad for tensor in live.values())


def test_no_checkpoint_anywhere() -> None:
    assert latest_checkpoint(Path("does-not-exist")) is None
