"""Comparing methods on the same examples: what simulations with a known truth, scipy and plain arithmetic say of it."""

import numpy as np
import pytest
from scipy.stats import binomtest

from feathertune.prediction.predictions import Predictions
from feathertune.stats.intervals import confidence_intervals
from feathertune.stats.paired import (
    PairedDifference,
    compare_pair,
    holm,
    in_words,
    interval_over_seeds,
)
from feathertune.stats.probabilities import softmax
from feathertune.stats.resampling import METRIC_NAMES
from feathertune.stats.seeds import SeedPredictions

SIMULATIONS = 2000


def answers(labels: np.ndarray, right_SN: np.ndarray) -> SeedPredictions:
    """Two classes; each seed says the right one with 0.9, or the wrong one with 0.9."""
    said_SN = np.where(right_SN, labels, 1 - labels)
    positive_SN = np.where(said_SN == 1, 0.9, 0.1)
    return SeedPredictions(labels, np.stack([1 - positive_SN, positive_SN], axis=-1))


def simulated(
    rng: np.random.Generator, count: int, seeds: int, skill: float, hardness_N: np.ndarray, spread: float
) -> np.ndarray:
    """[S, N]: whether each seed has each example right. Hard examples are hard for all, and some seeds are better."""
    logits_SN = skill + hardness_N + rng.normal(0, spread, size=(seeds, 1))
    return rng.random((seeds, count)) < 1 / (1 + np.exp(-logits_SN))


def truth(skill: float, spread: float) -> float:
    """The share right over all examples and all seeds."""
    rng = np.random.default_rng(99)
    logits = skill + rng.normal(0, 2, 4_000_000) + rng.normal(0, spread, 4_000_000)
    return float((1 / (1 + np.exp(-logits))).mean())


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.5), (5, 0.25)])
def test_two_level_intervals_hold_the_truth_as_often_as_they_say(seeds: int, spread: float) -> None:
    rng, count, covered = np.random.default_rng(1), 150, 0
    expected = truth(1.5, spread)
    for seed in range(SIMULATIONS):
        labels, hardness = rng.integers(2, size=count), rng.normal(0, 2, count)
        some = answers(labels, simulated(rng, count, seeds, 1.5, hardness, spread))
        _, low, high = interval_over_seeds(some, "accuracy", seed=seed, resamples=300)
        covered += low <= expected <= high
    assert 0.93 <= covered / SIMULATIONS <= 0.97, covered / SIMULATIONS


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.5), (5, 0.25)])
def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says(seeds: int, spread: float) -> None:
    rng, count, covered = np.random.default_rng(2), 150, 0
    expected = truth(1.5, spread) - truth(1.0, spread)
    for seed in range(SIMULATIONS):
        labels, hardness = rng.integers(2, size=count), rng.normal(0, 2, count)
        first, second = (answers(labels, simulated(rng, count, seeds, skill, hardness, spread)) for skill in (1.5, 1.0))
        found = compare_pair(first, second, seed=seed, resamples=300)
        covered += found.low <= expected <= found.high
    assert 0.93 <= covered / SIMULATIONS <= 0.97, covered / SIMULATIONS


def test_mcnemar_is_scipys_and_seldom_wrong_where_nothing_differs() -> None:
    rng, count, wrong = np.random.default_rng(3), 200, 0
    labels = np.zeros(count, dtype=np.int64)
    for _ in range(SIMULATIONS):
        hardness = rng.normal(0, 2, count)
        first, second = (answers(labels, simulated(rng, count, 1, 1.0, hardness, 0.0)) for _ in range(2))
        found = compare_pair(first, second, resamples=2)
        b, c, p = found.mcnemar[0]
        wrong += p < 0.05
    assert 0.01 < wrong / SIMULATIONS <= 0.05, wrong / SIMULATIONS  # exact tests keep below what they promise
    only_first = (first.predicted(0) == labels) & (second.predicted(0) != labels)
    assert b == only_first.sum()
    assert p == found.p_value == binomtest(b, b + c).pvalue


def test_the_bootstraps_p_value_is_seldom_wrong_either() -> None:
    rng, count, wrong = np.random.default_rng(4), 120, 0
    labels = np.zeros(count, dtype=np.int64)
    for seed in range(500):
        hardness = rng.normal(0, 2, count)
        first, second = (answers(labels, simulated(rng, count, 3, 1.0, hardness, 0.5)) for _ in range(2))
        wrong += compare_pair(first, second, seed=seed, resamples=300).p_value < 0.05
    assert 0.015 <= wrong / 500 <= 0.07, wrong / 500


def some_answers(count: int = 120, seeds: int = 1, skill: float = 1.0, seed: int = 0) -> SeedPredictions:
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(7).integers(2, size=count)
    logits = rng.normal(size=(seeds, count, 2))
    logits[:, np.arange(count), labels] += skill
    return SeedPredictions(labels, np.stack([softmax(logits_NC) for logits_NC in logits]))


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_one_seed_has_the_interval_over_examples(metric: str) -> None:
    some = some_answers()
    names, rows = ("no", "yes"), np.arange(120)
    alone = Predictions.from_probabilities(
        split="validation",
        label_names=names,
        rows=rows,
        texts=[""] * 120,
        labels=some.label_N,
        ratings=None,
        probabilities_NC=some.probability_SNC[0],
    )
    value, low, high = interval_over_seeds(some, metric)
    assert (low, high) == confidence_intervals(alone)[metric]
    assert low < value < high
    assert SeedPredictions.of([alone]).predicted(0).tolist() == some.predicted(0).tolist()


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_other_seeds_widen_the_interval(metric: str) -> None:
    one, steady = some_answers(), some_answers()
    steady = SeedPredictions(one.label_N, one.probability_SNC.repeat(3, axis=0))  # three times the same model
    mixed = SeedPredictions(
        one.label_N, np.concatenate([some_answers(skill=skill).probability_SNC for skill in (0.3, 1, 3)])
    )
    (_, low, high), (_, lower, higher) = (interval_over_seeds(some, metric) for some in (steady, mixed))
    assert higher - lower > 1.5 * (high - low)


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_a_better_method_is_found_better_in_every_metric(metric: str) -> None:
    good, bad = some_answers(400, seeds=3, skill=3.0, seed=1), some_answers(400, seeds=3, skill=0.0, seed=2)
    found = compare_pair(good, bad, metric=metric)
    assert in_words("good", "bad", found).startswith("good is better than bad")
    assert in_words("bad", "good", compare_pair(bad, good, metric=metric)).startswith("good is better than bad")
    assert compare_pair(good, bad, metric=metric) == found  # seeded


def test_a_method_that_was_run_once_is_compared_with_every_run_of_the_other() -> None:
    good, bad = some_answers(300, seeds=3, skill=3.0), some_answers(300, seeds=1, skill=0.0, seed=1)
    assert len(compare_pair(good, bad).mcnemar) == 3
    assert compare_pair(good, some_answers(300, seeds=2)).mcnemar == ()


def test_equal_answers_prove_no_equality() -> None:
    some = some_answers()
    found = compare_pair(some, some)
    assert (found.difference, found.p_value, found.mcnemar) == (0.0, 1.0, ((0, 0, 1.0),))
    assert -0.02 < found.low < 0 < found.high < 0.02
    perfect = answers(some.label_N, np.ones((3, 120), dtype=bool))
    value, low, high = interval_over_seeds(perfect, "accuracy")
    assert (value, high) == (1.0, 1.0)
    assert low < 0.98


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_one_example_shows_no_difference(metric: str) -> None:
    labels = np.array([1])
    if metric == "roc_auc":
        labels = np.array([0, 1])  # one pair
    right, wrong = (answers(labels, np.full((2, len(labels)), said)) for said in (True, False))
    found = compare_pair(right, wrong, metric=metric)
    assert found.p_value >= 0.5
    assert found.low <= 0 <= found.high
    assert in_words("right", "wrong", found).startswith("no difference")


def test_the_same_seed_again_is_no_further_evidence() -> None:
    labels = np.arange(200) % 2
    all_right = np.ones((1, 200), dtype=bool)
    four_wrong = all_right & (np.arange(200) > 3)
    for seeds in (1, 2, 3):
        pair = (answers(labels, np.repeat(right, seeds, axis=0)) for right in (all_right, four_wrong))
        found = compare_pair(*pair)
        assert found.p_value == pytest.approx(binomtest(4, 4).pvalue)
        assert found.low <= 0


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="not answers for the same examples"):
        compare_pair(some_answers(100), some_answers(120))
    one_class = SeedPredictions(np.zeros(120, dtype=np.int64), some_answers().probability_SNC)
    with pytest.raises(ValueError, match="roc_auc is undefined"):
        compare_pair(one_class, one_class, metric="roc_auc")
    assert interval_over_seeds(one_class, "roc_auc") == (None, None, None)


def test_holm_multiplies_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def difference(low: float, value: float, high: float, **others: object) -> PairedDifference:
    content = {"metric": "accuracy", "p_value": 0.001 if low * high > 0 else 0.4, "mcnemar": (), "seeds": (3, 3)}
    return PairedDifference(**(content | {"difference": value, "low": low, "high": high} | others))


def test_sentences() -> None:
    better = difference(0.038, 0.051, 0.064)
    assert in_words("LoRA", "the head alone", better) == "LoRA is better than the head alone by 5.1 points (3.8 to 6.4)"
    worse = difference(-0.064, -0.051, -0.038)
    assert in_words("the head alone", "LoRA", worse) == in_words("LoRA", "the head alone", better)
    none = difference(-0.004, 0.003, 0.010)
    assert in_words("A", "B", none) == "no difference was shown between A and B (-0.4 to 1.0 points)"
    many = in_words("A", "B", better, p_adjusted=0.06)
    assert many == "no difference was shown between A and B once all comparisons are counted (3.8 to 6.4 points)"
    one = in_words("A", "B", difference(0.038, 0.051, 0.064, seeds=(1, 1)))
    assert one == "A is better than B by 5.1 points (3.8 to 6.4; one seed: the examples' variation alone)"
    loss = difference(0.01, 0.02, 0.03, metric="loss")
    assert in_words("A", "B", loss) == "B is better than A in loss by 0.0200 nats (0.0100 to 0.0300)"


def test_intervals_of_rates_and_their_differences_end_where_rates_do() -> None:
    """Two seeds that could not differ more: Student's t of one degree of freedom would go to -1200%."""
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
