"""Temperature, threshold and calibration error, against brute force, scikit-learn and simulated truth."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from feathertune.stats.calibration import best_threshold, fit_temperature
from feathertune.stats.calibration_error import calibration_residuals, ece_interval, expected_calibration_error
from feathertune.stats.probabilities import cross_entropy, softmax
from feathertune.stats.reliability import reliability_bins


def overconfident(count: int, seed: int = 0, factor: float = 2.5, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and logits that are `factor` times those from which the labels were drawn."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((count, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return labels, (factor * logits).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("factor", [0.5, 2.5])
def test_the_temperature_is_what_the_logits_were_multiplied_by(classes: int, factor: float) -> None:
    labels, logits = overconfident(20_000, factor=factor, classes=classes)
    temperature = fit_temperature(labels, logits)
    assert temperature == pytest.approx(factor, rel=0.05)
    losses = [
        cross_entropy(labels, softmax(logits / np.float32(other))).mean()
        for other in temperature * np.array([0.99, 1, 1.01])
    ]
    assert losses[1] == min(losses)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "balanced_accuracy"])
@pytest.mark.parametrize("decimals", [6, 1])  # 1: many equal scores
def test_no_threshold_is_better_than_the_chosen_one(metric: str, decimals: int) -> None:
    score = {"accuracy": accuracy_score, "f1": f1_score, "balanced_accuracy": balanced_accuracy_score}[metric]
    labels, logits = overconfident(150, seed=3)
    positive = softmax(logits.round(decimals))[:, 1]
    values = [score(labels, positive >= one) for one in [*np.unique(positive), 1.0]]
    chosen = best_threshold(labels, positive, metric)
    assert score(labels, positive >= chosen) == pytest.approx(max(values))
    assert np.abs(positive - chosen).min() > 0  # between two scores: rounding elsewhere does not change a prediction


def test_half_is_kept_where_nothing_is_better() -> None:
    labels, logits = np.array([0, 0, 1, 1]), np.array([[3, 0], [3, 0], [0, 3], [0, 3]], np.float32)
    assert best_threshold(labels, softmax(logits)[:, 1], "f1") == 0.5


def test_the_calibration_error_and_its_bins() -> None:
    labels = np.array([1, 0, 1, 1, 0, 0])
    positive = np.array([0.92, 0.92, 0.92, 0.92, 0.05, 1.0])
    probabilities = np.stack([1 - positive, positive], axis=1)
    bins = reliability_bins(labels, probabilities)
    assert [(one.count, round(one.observed, 2)) for one in bins] == [(1, 0.0), (4, 0.75), (1, 0.0)]
    assert expected_calibration_error(labels, probabilities) == pytest.approx((0.05 + 4 * 0.17 + 1.0) / 6)
    assert all(one.lower <= one.claimed <= one.upper and one.low <= one.observed <= one.high for one in bins)


def test_with_many_classes_the_most_likely_one_is_checked() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.2, 0.3]])
    assert expected_calibration_error(np.array([0, 0]), probabilities) == pytest.approx(0.5)
    assert expected_calibration_error(np.array([0, 1]), probabilities) == pytest.approx(0.0)


@pytest.mark.parametrize(("factor", "count"), [(1.0, 100), (1.0, 1000), (1.5, 100), (2.5, 1000)])
def test_the_interval_of_the_calibration_error_contains_the_truth(factor: float, count: int) -> None:
    labels, logits = overconfident(1_000_000, seed=99, factor=factor)
    residuals = calibration_residuals(labels, softmax(logits))
    truth, covered = np.abs(residuals.sum(axis=0, dtype=np.float64)).sum() / len(labels), 0
    for seed in range(200):
        labels, logits = overconfident(count, seed=seed, factor=factor)
        low, high = ece_interval(calibration_residuals(labels, softmax(logits)))
        covered += low - 0.002 <= truth <= high  # 0.002: chance that remains in a million examples
    assert covered / 200 >= 0.88


@pytest.mark.parametrize(("claim", "true", "count"), [(0.99, 0.99, 100), (0.97, 0.99, 100), (0.98, 0.98, 300)])
def test_so_does_that_of_a_confident_model_that_is_nearly_always_right(claim: float, true: float, count: int) -> None:
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        is_yes = rng.random(count) < 0.5
        labels = np.where(rng.random(count) < true, is_yes, ~is_yes).astype(np.int64)
        positive = np.where(is_yes, claim, 1 - claim)
        low, high = ece_interval(calibration_residuals(labels, np.stack([1 - positive, positive], axis=1)))
        covered += low <= abs(claim - true) + 1e-9 and abs(claim - true) - 1e-9 <= high
    assert covered / 200 >= 0.93


@pytest.mark.parametrize("claim", [0.503, 0.5])
def test_the_interval_of_an_error_below_chance_reaches_up_to_chance(claim: float) -> None:
    labels, positive = np.arange(10) % 2, np.full(10, claim)
    probabilities = np.stack([1 - positive, positive], axis=1)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(claim - 0.5, abs=1e-6)
    low, high = ece_interval(calibration_residuals(labels, probabilities))
    assert low == 0
    of_a_coin = np.sqrt(0.25 / 10) * np.sqrt(2 / np.pi)  # the mean distance of a coin's share of heads from a half
    assert high == pytest.approx(of_a_coin, rel=0.1)


def test_certain_and_correct_predictions_have_no_interval() -> None:
    labels = np.arange(10) % 2
    assert ece_interval(calibration_residuals(labels, np.eye(2)[labels])) is None
