"""Comparing methods on the same examples: checked by simulations with a known truth, by scipy and by arithmetic."""

import numpy as np
import pytest
from scipy.stats import binomtest

from feathertune.evaluation.differences import difference_in_words
from feathertune.stats.intervals import confidence_intervals
from feathertune.stats.paired import compare_pair, holm, interval_over_seeds
from feathertune.stats.probabilities import softmax
from feathertune.stats.resampling import METRIC_NAMES
from feathertune.stats.seeds import SeedPredictions

SIMULATIONS = 2000


def predictions_of(labels: np.ndarray, right_SN: np.ndarray) -> SeedPredictions:
    """Two classes; each seed gives 0.9 to the right one, or to the wrong one."""
    predicted_SN = np.where(right_SN, labels, 1 - labels)
    positive_SN = np.where(predicted_SN == 1, 0.9, 0.1)
    return SeedPredictions(labels, np.stack([1 - positive_SN, positive_SN], axis=-1))


def simulated(
    rng: np.random.Generator, count: int, seeds: int, skill: float, hardness_N: np.ndarray, spread: float
) -> np.ndarray:
    """[S, N]: whether each seed gets each example right. Hard examples are hard for all, and some seeds are better."""
    logits_SN = skill + hardness_N + rng.normal(0, spread, size=(seeds, 1))
    return rng.random((seeds, count)) < 1 / (1 + np.exp(-logits_SN))


def truth(skill: float, spread: float) -> float:
    """The share of correct predictions over all examples and all seeds."""
    rng = np.random.default_rng(99)
    logits = skill + rng.normal(0, 2, 4_000_000) + rng.normal(0, spread, 4_000_000)
    return float((1 / (1 + np.exp(-logits))).mean())


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.5), (5, 0.25)])
def test_two_level_intervals_contain_the_truth_as_often_as_they_claim(seeds: int, spread: float) -> None:
    rng, count, covered = np.random.default_rng(1), 150, 0
    expected = truth(1.5, spread)
    for seed in range(SIMULATIONS):
        labels, hardness = rng.integers(2, size=count), rng.normal(0, 2, count)
        some = predictions_of(labels, simulated(rng, count, seeds, 1.5, hardness, spread))
        _, low, high = interval_over_seeds(some, "accuracy", seed=seed, resamples=300)
        covered += low <= expected <= high
    assert 0.93 <= covered / SIMULATIONS <= 0.97, covered / SIMULATIONS


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.5), (5, 0.25)])
def test_the_interval_of_a_difference_contains_the_truth_as_often_as_it_claims(seeds: int, spread: float) -> None:
    rng, count, covered = np.random.default_rng(2), 150, 0
    expected = truth(1.5, spread) - truth(1.0, spread)
    for seed in range(SIMULATIONS):
        labels, hardness = rng.integers(2, size=count), rng.normal(0, 2, count)
        first, second = (
            predictions_of(labels, simulated(rng, count, seeds, skill, hardness, spread)) for skill in (1.5, 1.0)
        )
        found = compare_pair(first, second, seed=seed, resamples=300)
        covered += found.low <= expected <= found.high
    assert 0.93 <= covered / SIMULATIONS <= 0.97, covered / SIMULATIONS


def test_mcnemar_is_scipys_and_rarely_wrong_where_nothing_differs() -> None:
    rng, count, wrong = np.random.default_rng(3), 200, 0
    labels = np.zeros(count, dtype=np.int64)
    for _ in range(SIMULATIONS):
        hardness = rng.normal(0, 2, count)
        first, second = (predictions_of(labels, simulated(rng, count, 1, 1.0, hardness, 0.0)) for _ in range(2))
        found = compare_pair(first, second, resamples=2)
        b, c, p = found.mcnemar[0]
        wrong += p < 0.05
    assert 0.01 < wrong / SIMULATIONS <= 0.05, wrong / SIMULATIONS  # exact tests stay below their level
    only_first = (first.predicted(0) == labels) & (second.predicted(0) != labels)
    assert b == only_first.sum()
    assert p == found.p_value == binomtest(b, b + c).pvalue


def test_the_bootstraps_p_value_is_rarely_wrong_either() -> None:
    rng, count, wrong = np.random.default_rng(4), 120, 0
    labels = np.zeros(count, dtype=np.int64)
    for seed in range(500):
        hardness = rng.normal(0, 2, count)
        first, second = (predictions_of(labels, simulated(rng, count, 3, 1.0, hardness, 0.5)) for _ in range(2))
        wrong += compare_pair(first, second, seed=seed, resamples=300).p_value < 0.05
    assert 0.015 <= wrong / 500 <= 0.07, wrong / 500


def some_predictions(count: int = 120, seeds: int = 1, skill: float = 1.0, seed: int = 0) -> SeedPredictions:
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(7).integers(2, size=count)
    logits = rng.normal(size=(seeds, count, 2))
    logits[:, np.arange(count), labels] += skill
    return SeedPredictions(labels, np.stack([softmax(logits_NC) for logits_NC in logits]))


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_one_seed_has_the_interval_over_examples(metric: str) -> None:
    some = some_predictions()
    value, low, high = interval_over_seeds(some, metric)
    assert (low, high) == confidence_intervals(some.label_N, some.predicted(0), some.probability_SNC[0])[metric]
    assert low < value < high


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_other_seeds_widen_the_interval(metric: str) -> None:
    one, steady = some_predictions(), some_predictions()
    steady = SeedPredictions(one.label_N, one.probability_SNC.repeat(3, axis=0))  # three times the same model
    mixed = SeedPredictions(
        one.label_N, np.concatenate([some_predictions(skill=skill).probability_SNC for skill in (0.3, 1, 3)])
    )
    (_, low, high), (_, lower, higher) = (interval_over_seeds(some, metric) for some in (steady, mixed))
    assert higher - lower > 1.5 * (high - low)


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_a_better_method_is_found_better_in_every_metric(metric: str) -> None:
    good, bad = some_predictions(400, seeds=3, skill=3.0, seed=1), some_predictions(400, seeds=3, skill=0.0, seed=2)
    found = compare_pair(good, bad, metric=metric)
    assert difference_in_words("good", "bad", found).startswith("good is better than bad")
    assert difference_in_words("bad", "good", compare_pair(bad, good, metric=metric)).startswith(
        "good is better than bad"
    )
    assert compare_pair(good, bad, metric=metric) == found  # seeded


def test_a_method_with_one_run_is_compared_with_every_run_of_the_other() -> None:
    good, bad = some_predictions(300, seeds=3, skill=3.0), some_predictions(300, seeds=1, skill=0.0, seed=1)
    assert len(compare_pair(good, bad).mcnemar) == 3
    assert compare_pair(good, some_predictions(300, seeds=2)).mcnemar == ()


def test_equal_predictions_prove_no_equality() -> None:
    some = some_predictions()
    found = compare_pair(some, some)
    assert (found.difference, found.p_value, found.mcnemar) == (0.0, 1.0, ((0, 0, 1.0),))
    assert -0.02 < found.low < 0 < found.high < 0.02
    perfect = predictions_of(some.label_N, np.ones((3, 120), dtype=bool))
    value, low, high = interval_over_seeds(perfect, "accuracy")
    assert (value, high) == (1.0, 1.0)
    assert low < 0.98


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_one_example_shows_no_difference(metric: str) -> None:
    labels = np.array([1])
    if metric == "roc_auc":
        labels = np.array([0, 1])  # one pair
    right, wrong = (predictions_of(labels, np.full((2, len(labels)), value)) for value in (True, False))
    found = compare_pair(right, wrong, metric=metric)
    assert found.p_value >= 0.5
    assert found.low <= 0 <= found.high
    assert difference_in_words("right", "wrong", found).startswith("no difference")


def test_the_same_seed_twice_is_no_further_evidence() -> None:
    labels = np.arange(200) % 2
    all_right = np.ones((1, 200), dtype=bool)
    four_wrong = all_right & (np.arange(200) > 3)
    for seeds in (1, 2, 3):
        pair = (predictions_of(labels, np.repeat(right, seeds, axis=0)) for right in (all_right, four_wrong))
        found = compare_pair(*pair)
        assert found.p_value == pytest.approx(binomtest(4, 4).pvalue)
        assert found.low <= 0


def test_predictions_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="predictions are not for the same examples"):
        compare_pair(some_predictions(100), some_predictions(120))
    one_class = SeedPredictions(np.zeros(120, dtype=np.int64), some_predictions().probability_SNC)
    with pytest.raises(ValueError, match="roc_auc is undefined"):
        compare_pair(one_class, one_class, metric="roc_auc")
    assert interval_over_seeds(one_class, "roc_auc") == (None, None, None)


def test_holm_multiplies_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_intervals_of_rates_and_their_differences_stay_within_the_possible() -> None:
    """Two seeds that could not differ more: Student's t with one degree of freedom would reach -1200%."""
    label_N = np.tile([0, 1], 20)
    right_NC = np.eye(2)[label_N] * 0.8 + 0.1
    luck = SeedPredictions(label_N, np.stack([right_NC, 1 - right_NC]))
    for metric in ("accuracy", "f1", "ece"):
        value, low, high = interval_over_seeds(luck, metric)
        assert value is not None
        assert low is not None
        assert high is not None
        assert 0 <= low <= value <= high <= 1
    pair = compare_pair(luck, SeedPredictions(label_N, right_NC[None]))
    assert (pair.low, pair.high) == (-1.0, 1.0)
