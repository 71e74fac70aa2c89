"""Temperature, threshold and calibration error, against brute force, scikit-learn and simulated truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from feathertune.errors import UserError
from feathertune.evaluation.calibration import (
    apply_decision,
    choose_decision,
    choose_threshold,
    cross_fit,
    describe_calibration,
    fit_temperature,
    read_decision,
)
from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.decision import Decision
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.schema import EvaluationSection
from feathertune.stats.calibration_error import calibration_residuals, ece_interval, expected_calibration_error
from feathertune.stats.reliability import reliability_bins
from feathertune.system.files import write_json

BOTH = EvaluationSection(temperature=True, threshold={"maximize": "f1"})


def overconfident(
    count: int, seed: int = 0, factor: float = 2.5, classes: int = 2, split: str = "validation"
) -> Predictions:
    """Logits that are `factor` times those the labels were drawn by."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((count, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    names = tuple(f"c{index}" for index in range(classes))
    texts = ["text"] * count
    return Predictions(split, names, np.arange(count), texts, labels, None, (factor * logits).astype(np.float32))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("factor", [0.5, 2.5])
def test_the_temperature_is_what_the_logits_were_multiplied_by(classes: int, factor: float) -> None:
    some = overconfident(20_000, factor=factor, classes=classes)
    temperature = fit_temperature(some)
    assert temperature == pytest.approx(factor, rel=0.05)
    losses = [
        replace(some, decision=Decision(other)).losses.mean() for other in temperature * np.array([0.99, 1, 1.01])
    ]
    assert losses[1] == min(losses)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "balanced_accuracy"])
@pytest.mark.parametrize("decimals", [6, 1])  # 1: many equal scores
def test_no_threshold_is_better_than_the_chosen_one(metric: str, decimals: int) -> None:
    score = {"accuracy": accuracy_score, "f1": f1_score, "balanced_accuracy": balanced_accuracy_score}[metric]
    some = overconfident(150, seed=3)
    some = replace(some, logits_NC=some.logits_NC.round(decimals))
    positive = some.probabilities_NC[:, 1]
    worth = [score(some.labels, positive >= one) for one in [*np.unique(positive), 1.0]]
    chosen = choose_threshold(some, metric)
    assert score(some.labels, positive >= chosen) == pytest.approx(max(worth))
    assert np.abs(positive - chosen).min() > 0  # between two scores: rounding elsewhere does not change an answer


def test_half_is_kept_where_nothing_is_better() -> None:
    labels = np.array([0, 0, 1, 1])
    some = Predictions(
        "validation", ("a", "b"), labels, [""] * 4, labels, None, np.array([[3, 0], [3, 0], [0, 3], [0, 3]], np.float32)
    )
    assert choose_threshold(some, "f1") == 0.5


def test_nothing_is_chosen_on_the_test_split() -> None:
    some = overconfident(50, split="test")
    with pytest.raises(UserError, match="a temperature may not be chosen on the test split"):
        fit_temperature(some)
    with pytest.raises(UserError, match="a threshold may not be chosen on the test split"):
        choose_threshold(some, "f1")
    with pytest.raises(UserError, match="may not be chosen on the test split"):
        choose_decision(some, BOTH)
    assert choose_decision(some, EvaluationSection(threshold=0.3)) == Decision(1.0, 0.3)  # told, not chosen


def test_a_threshold_is_for_two_classes() -> None:
    with pytest.raises(UserError, match="a threshold decides between two classes, and the data has 3"):
        choose_threshold(overconfident(50, classes=3), "accuracy")


def test_the_test_split_is_decided_by_what_validation_chose() -> None:
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
    assert described["ece"]["test"]["after"] < described["ece"]["test"]["before"]
    assert (described["chosen_for"], described["chosen_on"]) == ("f1", "validation")


def test_cross_fitting_takes_away_what_choosing_adds() -> None:
    """Scores that know nothing: in hindsight some threshold looks better than the majority class; it is not."""
    section = EvaluationSection(threshold={"maximize": "accuracy"})
    in_sample, fair = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels, logits = np.arange(60) % 2, rng.normal(size=(60, 2)).astype(np.float32)
        raw = {"validation": Predictions("validation", ("a", "b"), labels, [""] * 60, labels, None, logits)}
        metrics = compute_metrics(apply_decision(raw, section)["validation"], intervals=False)
        in_sample.append(metrics.accuracy)
        fair.append(metrics.cross_fitted["accuracy"])
    assert np.mean(in_sample) > 0.55
    assert np.mean(fair) == pytest.approx(0.5, abs=0.02)


def test_cross_fitted_metrics() -> None:
    metrics = compute_metrics(apply_decision({"validation": overconfident(80)}, BOTH)["validation"])
    assert set(metrics.cross_fitted) == {"loss", "accuracy", "precision", "recall", "f1", "ece", "intervals"}
    assert metrics.to_json()["cross_fitted"] == metrics.cross_fitted
    assert cross_fit(overconfident(1), BOTH) is None
    assert cross_fit(overconfident(2), BOTH) is not None


def test_the_calibration_error_and_the_bins_it_is_made_of() -> None:
    labels = np.array([1, 0, 1, 1, 0, 0])
    positive = np.array([0.92, 0.92, 0.92, 0.92, 0.05, 1.0])
    probabilities = np.stack([1 - positive, positive], axis=1)
    bins = reliability_bins(labels, probabilities)
    assert [(one.count, round(one.observed, 2)) for one in bins] == [(1, 0.0), (4, 0.75), (1, 0.0)]
    assert expected_calibration_error(labels, probabilities) == pytest.approx((0.05 + 4 * 0.17 + 1.0) / 6)
    assert all(one.lower <= one.claimed <= one.upper and one.low <= one.observed <= one.high for one in bins)


def test_of_many_classes_the_likeliest_is_what_is_claimed() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3]])
    assert expected_calibration_error(np.array([0, 0]), probabilities) == pytest.approx(0.5)
    assert expected_calibration_error(np.array([0, 1]), probabilities) == pytest.approx(0.0)


@pytest.mark.parametrize(("factor", "count"), [(1.0, 100), (1.0, 1000), (1.5, 100), (2.5, 1000)])
def test_the_interval_of_the_calibration_error_holds_the_truth(factor: float, count: int) -> None:
    many = overconfident(1_000_000, seed=99, factor=factor)
    residuals = calibration_residuals(many.labels, many.probabilities_NC)
    truth, covered = np.abs(residuals.sum(axis=0, dtype=np.float64)).sum() / len(many), 0
    for seed in range(200):
        some = overconfident(count, seed=seed, factor=factor)
        low, high = ece_interval(calibration_residuals(some.labels, some.probabilities_NC))
        covered += low - 0.002 <= truth <= high  # 0.002: what is left of 0 in a million examples
    assert covered / 200 >= 0.88


@pytest.mark.parametrize(("claim", "true", "count"), [(0.99, 0.99, 100), (0.97, 0.99, 100), (0.98, 0.98, 300)])
def test_so_it_does_for_a_sure_model_of_which_nearly_all_comes_true(claim: float, true: float, count: int) -> None:
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        says_yes = rng.random(count) < 0.5
        labels = np.where(rng.random(count) < true, says_yes, ~says_yes).astype(np.int64)
        positive = np.where(says_yes, claim, 1 - claim)
        low, high = ece_interval(calibration_residuals(labels, np.stack([1 - positive, positive], axis=1)))
        covered += low <= abs(claim - true) + 1e-9 and abs(claim - true) - 1e-9 <= high
    assert covered / 200 >= 0.93


@pytest.mark.parametrize("claim", [0.503, 0.5])
def test_an_error_below_what_chance_leaves_may_be_as_large_as_that(claim: float) -> None:
    labels, positive = np.arange(10) % 2, np.full(10, claim)
    probabilities = np.stack([1 - positive, positive], axis=1)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(claim - 0.5, abs=1e-6)
    low, high = ece_interval(calibration_residuals(labels, probabilities))
    assert low == 0
    of_a_fair_coin = np.sqrt(0.25 / 10) * np.sqrt(2 / np.pi)  # the mean distance of its share from a half
    assert high == pytest.approx(of_a_fair_coin, rel=0.1)


def test_where_nothing_but_certainty_was_claimed_and_came_true_there_is_no_interval() -> None:
    labels = np.arange(10) % 2
    assert ece_interval(calibration_residuals(labels, np.eye(2)[labels])) is None


def test_the_stored_decision_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert read_decision(path, EvaluationSection()) == Decision()  # a run of before there was one
    with pytest.raises(UserError, match=r"calibration\.json"):
        read_decision(path, BOTH)
    write_json(path, {"temperature": 1.5, "threshold": 0.3})
    assert read_decision(path, BOTH) == Decision(1.5, 0.3)
    for damaged in ({}, [], {"temperature": -1, "threshold": 0.5}, {"temperature": 1, "threshold": 2}):
        write_json(path, damaged)
        with pytest.raises(UserError, match="the file is damaged"):
            read_decision(path, BOTH)
