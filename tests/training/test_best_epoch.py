"""When training ends and which epoch is kept: the best epoch, early stopping, max_steps, the plateau schedule."""

from dataclasses import replace
from pathlib import Path

import pytest

from feathertune.folders.metrics import Metrics
from short_training import (
    Recorder,
    log_of,
    lora_classifier,
    mean_loss,
    metrics,
    random_set,
    same,
    scripted,
    train,
    weights_of,
)


def test_the_best_epochs_weights_are_kept(tmp_path: Path) -> None:
    classifier, data = lora_classifier(), random_set()
    recorder = Recorder(classifier)
    outcome = train(tmp_path, classifier, data, epochs=4, evaluate=scripted(0.9, 0.5, 0.5, 0.7), reporter=recorder)
    assert (outcome.progress.best_epoch, outcome.progress.best_value, outcome.progress.epoch) == (2, 0.5, 4)
    assert not outcome.stopped_early
    assert same(weights_of(classifier), recorder.epochs[1]), "the first of equals"
    assert not same(weights_of(classifier), recorder.epochs[3])
    assert recorder.stopped == 1


@pytest.mark.parametrize(
    ("metric", "best"), [("loss", 3), ("accuracy", 2), ("f1", 3), ("precision", 3), ("recall", 3), ("roc_auc", 4)]
)
def test_loss_is_minimized_and_the_others_maximized(tmp_path: Path, metric: str, best: int) -> None:
    evaluations = iter(
        [
            metrics(0.9, accuracy=0.1, roc_auc=None),
            metrics(0.8, accuracy=0.9, roc_auc=0.2),
            metrics(0.1, accuracy=0.5, roc_auc=None),
            metrics(0.5, accuracy=0.5, roc_auc=0.3),
        ]
    )
    outcome = train(
        tmp_path, lora_classifier(), random_set(8), epochs=4, best_metric=metric, evaluate=lambda: next(evaluations)
    )
    assert outcome.progress.best_epoch == best


def test_of_equally_accurate_epochs_the_one_with_the_lowest_loss_is_kept_and_patience_restarts(tmp_path: Path) -> None:
    losses = iter([0.6, 0.5, 0.3, 0.4, 0.35])
    outcome = train(
        tmp_path,
        lora_classifier(),
        random_set(8),
        epochs=9,
        best_metric="accuracy",
        early_stopping_patience=2,
        evaluate=lambda: metrics(next(losses), accuracy=1.0),
    )
    assert (outcome.progress.best_epoch, outcome.progress.best_value, outcome.progress.best_loss) == (3, 1.0, 0.3)
    assert (outcome.stopped_early, outcome.progress.epoch) == (True, 5)


def test_training_that_goes_wrong_late_keeps_its_early_best(tmp_path: Path) -> None:
    """A real evaluation, on other labels, so that learning makes it worse."""
    classifier, data = lora_classifier(), random_set(24)
    others = replace(data, targets=(data.targets + 1) % 3)
    seen: list[float] = []

    def evaluate() -> Metrics:
        seen.append(mean_loss(classifier, others))
        return metrics(seen[-1])

    outcome = train(tmp_path, classifier, data, epochs=8, schedule="constant", learning_rate=0.02, evaluate=evaluate)
    assert seen[-1] > min(seen)
    assert mean_loss(classifier, others) == min(seen) == outcome.progress.best_value


def test_early_stopping_stops(tmp_path: Path) -> None:
    evaluate = scripted(0.9, 0.5, 0.6, 0.5)
    outcome = train(tmp_path, lora_classifier(), random_set(8), epochs=9, early_stopping_patience=2, evaluate=evaluate)
    assert (outcome.stopped_early, outcome.progress.epoch, outcome.progress.best_epoch) == (True, 4, 2)
    at_the_end = train(
        tmp_path / "2",
        lora_classifier(),
        random_set(8),
        epochs=2,
        early_stopping_patience=1,
        evaluate=scripted(0.5, 0.6),
    )
    assert not at_the_end.stopped_early, "ending at the last epoch is not early stopping"


@pytest.mark.parametrize(("limit", "steps", "epochs"), [(3, 3, 1), (4, 4, 1), (6, 6, 2), (99, 12, 3), (None, 12, 3)])
def test_training_ends_after_max_steps(tmp_path: Path, limit: int | None, steps: int, epochs: int) -> None:
    """Four steps an epoch; an epoch that is cut short is evaluated like any other."""
    classifier = lora_classifier()
    recorder = Recorder(classifier)
    evaluated = []

    def evaluate() -> Metrics:
        evaluated.append(len(recorder.losses))
        return metrics(0.5)

    outcome = train(tmp_path, classifier, random_set(32), max_steps=limit, evaluate=evaluate, reporter=recorder)
    assert (outcome.progress.step, outcome.progress.epoch, outcome.stopped_early) == (steps, epochs, False)
    assert len(recorder.losses) == evaluated[-1] == steps
    assert len(evaluated) == epochs


def test_the_rate_falls_on_a_plateau(tmp_path: Path) -> None:
    train(
        tmp_path,
        lora_classifier(),
        random_set(80),  # ten steps an epoch: each epoch's last is logged
        epochs=5,
        warmup_ratio=0.0,
        schedule="plateau",
        evaluate=scripted(0.5, 0.6, 0.6, 0.4, 0.4),
    )
    rates = [entry["learning_rate"] for entry in log_of(tmp_path) if entry["event"] == "step"]
    assert rates == [1e-2, 1e-2, 1e-2, 0.5e-2, 0.5e-2]
