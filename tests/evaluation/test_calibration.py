"""How temperature and threshold are chosen and applied, on which splits, and what is stored."""

from pathlib import Path

import numpy as np
import pytest

from feathertune.errors import UserError
from feathertune.evaluation.calibration import (
    apply_decision,
    choose_decision,
    cross_fit,
    describe_calibration,
    read_decision,
)
from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.decision import Decision
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.evaluation import EvaluationSection
from feathertune.system.files import write_json

BOTH = EvaluationSection(temperature=True, threshold={"maximize": "f1"})


def overconfident(
    count: int, seed: int = 0, factor: float = 2.5, classes: int = 2, split: str = "validation"
) -> Predictions:
    """Logits that are `factor` times those from which the labels were drawn."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((count, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    names = tuple(f"c{index}" for index in range(classes))
    texts = ["text"] * count
    return Predictions(split, names, np.arange(count), texts, labels, None, (factor * logits).astype(np.float32))


def test_nothing_is_chosen_on_the_test_split() -> None:
    some = overconfident(50, split="test")
    with pytest.raises(UserError, match="a temperature may not be chosen on the test split"):
        choose_decision(some, EvaluationSection(temperature=True))
    with pytest.raises(UserError, match="a threshold may not be chosen on the test split"):
        choose_decision(some, EvaluationSection(threshold={"maximize": "f1"}))
    with pytest.raises(UserError, match="may not be chosen on the test split"):
        choose_decision(some, BOTH)
    with pytest.raises(UserError, match="may not be chosen on the test split"):
        cross_fit(some, BOTH)
    assert choose_decision(some, EvaluationSection(threshold=0.3)) == Decision(1.0, 0.3)  # given, not chosen


def test_a_threshold_is_for_two_classes() -> None:
    with pytest.raises(UserError, match="a threshold decides between two classes, and the data has 3"):
        choose_decision(overconfident(50, classes=3), EvaluationSection(threshold={"maximize": "accuracy"}))


def test_the_test_split_uses_the_decision_chosen_on_validation() -> None:
    raw = {"validation": overconfident(500), "test": overconfident(500, seed=1, split="test")}
    decided = apply_decision(raw, BOTH)
    decision = choose_decision(raw["validation"], BOTH)
    assert decided["test"].decision == decided["validation"].decision == decision != Decision()
    assert decided["test"].cross_fitted is None
    metrics = compute_metrics(decided["test"], intervals=False)
    assert (metrics.temperature, metrics.threshold) == (decision.temperature, decision.threshold)
    assert metrics.loss < compute_metrics(raw["test"], intervals=False).loss
    assert (
        apply_decision(raw, EvaluationSection())["validation"].predicted.tolist()
        == raw["validation"].predicted.tolist()
    )
    described = describe_calibration(raw, decided, BOTH)
    assert described.ece["test"].after < described.ece["test"].before
    assert (described.chosen_for, described.chosen_on) == ("f1", "validation")


def test_cross_fitting_removes_what_choosing_adds() -> None:
    """Random scores: in hindsight some threshold looks better than the majority class, but it is not."""
    section = EvaluationSection(threshold={"maximize": "accuracy"})
    in_sample, unbiased = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels, logits = np.arange(60) % 2, rng.normal(size=(60, 2)).astype(np.float32)
        raw = {"validation": Predictions("validation", ("a", "b"), labels, [""] * 60, labels, None, logits)}
        metrics = compute_metrics(apply_decision(raw, section)["validation"], intervals=False)
        in_sample.append(metrics.accuracy)
        unbiased.append(metrics.cross_fitted.accuracy)
    assert np.mean(in_sample) > 0.55
    assert np.mean(unbiased) == pytest.approx(0.5, abs=0.02)


def test_cross_fitted_metrics() -> None:
    metrics = compute_metrics(apply_decision({"validation": overconfident(80)}, BOTH)["validation"])
    content = metrics.to_json()["cross_fitted"]
    assert set(content) == {"loss", "accuracy", "precision", "recall", "f1", "ece", "intervals"}
    assert content == metrics.cross_fitted.to_json()
    for name in ("loss", "accuracy", "precision", "recall", "f1", "ece"):
        assert metrics.prefer_cross_fitted().value(name) == content[name]
    assert cross_fit(overconfident(1), BOTH) is None
    assert cross_fit(overconfident(2), BOTH) is not None


def test_the_stored_decision_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert read_decision(path, EvaluationSection()) == Decision()  # older runs have no such file
    with pytest.raises(UserError, match=r"calibration\.json"):
        read_decision(path, BOTH)
    write_json(path, {"temperature": 1.5, "threshold": 0.3})
    assert read_decision(path, BOTH) == Decision(1.5, 0.3)
    describe_calibration({"validation": overconfident(50)}, {"validation": overconfident(50)}, BOTH).write(path)
    assert read_decision(path, BOTH) == Decision()
    for damaged in ({}, [], {"temperature": -1, "threshold": 0.5}, {"temperature": 1, "threshold": 2}):
        write_json(path, damaged)
        with pytest.raises(UserError, match=r"calibration\.json: .* is damaged"):
            read_decision(path, BOTH)
