"""Two methods on the same examples: how far apart they are, and whether chance explains it.

The predictions of S seeds of a method for N examples go in (`SeedPredictions`); an interval of each metric, and of the
difference of two methods with its p-value, come out, over examples and seeds as `seeds.py` explains. scipy does the
exact McNemar test, and the arithmetic of several tests is Holm's (Scandinavian Journal of Statistics 1979).

With one seed only the examples' variation is covered; `in_words` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from scipy.stats import t as student_t

from feathertune.prediction.predictions import Predictions
from feathertune.stats.calibration_error import calibration_residuals, ece_interval
from feathertune.stats.intervals import (
    NO_WIDTH,
    RESAMPLES,
    Z95,
    Interval,
    acceleration,
    bca_interval,
    confidence_intervals,
)
from feathertune.stats.resampling import jackknife_weights
from feathertune.stats.seeds import SeedPredictions, collect, two_levels

LEVEL = 0.05
LOWER_IS_BETTER = ("loss", "ece")
TITLES = {"loss": "loss", "accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}
TITLES |= {"roc_auc": "ROC AUC", "ece": "calibration error"}


class McNemar(NamedTuple):
    """Examples that only the first method has right (b), only the second (c), and the exact two-sided p-value."""

    b: int
    c: int
    p: float


@dataclass(frozen=True)
class PairedDifference:
    """First method less second, on the same examples.

    Attributes:
        metric: one of METRIC_NAMES.
        difference: of the means over the seeds.
        low, high: the 95% interval.
        p_value: of no difference. For accuracy of one seed each McNemar's, else twice the bootstrap's smaller tail, but
            no less than so few different answers can have; where that is 5% or more, the interval holds 0.
        mcnemar: for each pair of runs; a method that was run once is compared with each run of the other.
        seeds: how many runs each method has.
    """

    metric: str
    difference: float
    low: float
    high: float
    p_value: float
    mcnemar: tuple[McNemar, ...]
    seeds: tuple[int, int]


def compare_pair(
    first: SeedPredictions,
    second: SeedPredictions,
    *,
    metric: str = "accuracy",
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """The difference of two methods in a metric, by the paired bootstrap: both are asked on each resample.

    Raises ValueError where they are not answers for the same examples, or where the metric is undefined (ROC AUC of
    one class alone).
    """
    if not np.array_equal(first.label_N, second.label_N):
        raise ValueError("these are not answers for the same examples")
    rng = np.random.default_rng(seed)
    levels = two_levels([first, second], metric, rng, resamples)
    value = float(levels.values[0] - levels.values[1])
    if not np.isfinite(value):
        raise ValueError(f"{metric} is undefined for these examples")
    drawn_B = levels.means_B[0] - levels.means_B[1] + levels.seed_noise_B
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    low, high = np.quantile(drawn_B, [LEVEL / 2, 1 - LEVEL / 2])
    below, above = (drawn_B <= 0).sum(), (drawn_B >= 0).sum()
    p_value = min(1.0, float(2 * (min(below, above) + 1) / (len(drawn_B) + 1)))
    if high - low < NO_WIDTH:
        # The same difference everywhere: that no example tells otherwise does not mean that none would. As if one of
        # two further ones did (Agresti & Min, Statistics in Medicine 2005).
        half = Z95 / (len(first.label_N) + 2)
        low, high = value - half, value + half
    p_value = max(p_value, least := _least_p(first, second, metric))
    if least >= LEVEL:
        low, high = min(low, 0.0), max(high, 0.0)
    tests = _mcnemar_by_seed(first, second)
    if metric == "accuracy" and len(tests) == 1:
        p_value = tests[0].p
    low, high = _possible(metric, float(low), float(high), least=-1.0)
    return PairedDifference(metric, value, low, high, p_value, tests, (first.seeds, second.seeds))


def interval_over_seeds(
    answers: SeedPredictions, metric: str, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float | None, float | None, float | None]:
    """(value, low, high): the mean over seeds of one of METRIC_NAMES with its 95% interval over examples and seeds.

    Of one seed it is `confidence_intervals`'. None where it is undefined: ROC AUC of one class alone, or an interval
    of what no resample changes.
    """
    if answers.seeds == 1:
        ones = np.ones((1, len(answers.label_N)), dtype=np.float32)
        value = float(collect([answers], metric, [ones])[0][0, 0])
        found = _alone(answers, metric, seed, resamples)
        return (value if np.isfinite(value) else None, *(found or (None, None)))
    if metric == "ece":
        return _ece_over_seeds(answers, seed)
    rng = np.random.default_rng(seed)
    levels = two_levels([answers], metric, rng, resamples)
    value = float(levels.values[0])
    if not np.isfinite(value):
        return None, None, None
    left_out_G = collect([answers], metric, jackknife_weights(len(answers.label_N), rng))[0].mean(axis=1)
    drawn_B, noise_B = levels.means_B[0], levels.seed_noise_B
    spread = float(np.nanvar(drawn_B))
    share = spread / max(spread + levels.seed_variance, 1e-300)  # noise of the seeds is not skewed
    found = bca_interval(value, drawn_B + noise_B, acceleration(left_out_G) * share**1.5)
    if found is None:  # nothing varies, as where all is right: what a single run would say of it
        found = _alone(answers, metric, seed, resamples)
    return (value, None, None) if found is None else (value, *_possible(metric, *found, least=0.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, adjusted so that all that are below 5% may be believed together (Holm 1979), in the same order."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def in_words(first_name: str, second_name: str, pair: PairedDifference, *, p_adjusted: float | None = None) -> str:
    """A sentence: which is better, by how much, or that no difference was shown.

    A difference is shown where the interval does not hold 0 and the p-value is below 5%; where several pairs are
    compared, give the one that Holm's correction made.
    """
    unit, scale = ("nats", 1.0) if pair.metric == "loss" else ("points", 100.0)
    digits = 4 if pair.metric == "loss" else 1
    low, high = scale * pair.low, scale * pair.high
    of = "" if pair.metric == "accuracy" else f" in {TITLES[pair.metric]}"
    note = "; one seed: the examples' variation alone" if pair.seeds == (1, 1) else ""
    alone = (low > 0 or high < 0) and pair.p_value < LEVEL
    if not alone or (p_adjusted is not None and p_adjusted >= LEVEL):
        many = " once all comparisons are counted" if alone else ""
        # + 0.0 makes no '-0.0' of what rounds to nothing
        shown = f"{round(low, digits) + 0.0:.{digits}f} to {round(high, digits) + 0.0:.{digits}f} {unit}"
        return f"no difference{of} was shown between {first_name} and {second_name}{many} ({shown}{note})"
    if (low > 0) == (pair.metric in LOWER_IS_BETTER):  # the second is the better one
        first_name, second_name = second_name, first_name
    low, high = sorted((abs(low), abs(high)))
    by = f"{abs(scale * pair.difference):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f}{note})"
    return f"{first_name} is better than {second_name}{of} by {by}"


def _ece_over_seeds(answers: SeedPredictions, seed: int) -> tuple[float, float | None, float | None]:
    """Mean, low and high: the runs' own intervals, averaged, and widened by the spread between the runs.

    Distances from the mean add up in squares (MOVER: Zou & Donner, Statistics in Medicine 2008).
    """
    residuals_SNK = [
        calibration_residuals(answers.label_N, probability_NC) for probability_NC in answers.probability_SNC
    ]
    value_S = np.array([np.abs(residuals_NK.mean(axis=0, dtype=np.float64)).sum() for residuals_NK in residuals_SNK])
    value = float(value_S.mean())
    found = [interval for residuals_NK in residuals_SNK if (interval := ece_interval(residuals_NK, seed)) is not None]
    if not found:
        return value, None, None
    low, high = np.mean(found, axis=0)
    between = float(student_t.ppf(1 - LEVEL / 2, answers.seeds - 1)) * value_S.std(ddof=1) / np.sqrt(answers.seeds)
    ends = float(value - np.hypot(value - low, between)), float(value + np.hypot(high - value, between))
    return value, *_possible("ece", *ends, least=0.0)


def _least_p(first: SeedPredictions, second: SeedPredictions, metric: str) -> float:
    """The two-sided p-value of a sign test where each example that sets the methods apart speaks for the same one.

    A bootstrap cannot know it: of 4 examples of 200 that all speak for one method, 2% of resamples hold none, while
    chance alone turns 4 coins the same way in 12.5%. More seeds are no more examples. Each class counts where a metric
    looks at it alone (recall) or at pairs of both (ROC AUC).
    """
    apart_N = _apart(first, second, by_class=metric not in ("loss", "ece", "roc_auc"))
    counts_C = np.bincount(first.label_N[apart_N], minlength=first.probability_SNC.shape[2])
    count = counts_C.sum()
    if len(counts_C) == 2 and metric in ("recall", "roc_auc"):
        count = counts_C[1] if metric == "recall" else counts_C.min()
    return float(min(1.0, 2 * 0.5**count))


def _apart(first: SeedPredictions, second: SeedPredictions, *, by_class: bool) -> npt.NDArray[np.bool_]:
    """[N] whether the methods' answers differ, in any pair of their runs: in class, or in probability."""
    differ_KN = [
        first.predicted(one) != second.predicted(other)
        if by_class
        else (first.probability_SNC[one] != second.probability_SNC[other]).any(axis=1)
        for one in range(first.seeds)
        for other in range(second.seeds)
    ]
    return np.asarray(np.any(differ_KN, axis=0))


def _possible(metric: str, low: float, high: float, *, least: float) -> Interval:
    """The interval without what no rate from 0 to 1, or no difference of two, can be: t of two seeds reaches far."""
    return (low, high) if metric == "loss" else (max(low, least), min(high, 1.0))


def _alone(answers: SeedPredictions, metric: str, seed: int, resamples: int) -> Interval | None:
    """The interval of the first run's metric, over examples."""
    count, classes = answers.probability_SNC.shape[1:]
    predictions = Predictions.from_probabilities(
        split="",
        label_names=tuple(map(str, range(classes))),
        rows=np.arange(1, count + 1),
        texts=[""] * count,
        labels=answers.label_N,
        ratings=None,
        probabilities_NC=answers.probability_SNC[0],
        predicted_N=answers.predicted(0),
    )
    return confidence_intervals(predictions, seed=seed, resamples=resamples, names=(metric,))[metric]


def _mcnemar_by_seed(first: SeedPredictions, second: SeedPredictions) -> tuple[McNemar, ...]:
    """Run by run; none where the methods were run differently often, and neither of them once."""
    if first.seeds != second.seeds and 1 not in (first.seeds, second.seeds):
        return ()
    tests = []
    for index in range(max(first.seeds, second.seeds)):
        right, other = (answers.predicted(index % answers.seeds) == answers.label_N for answers in (first, second))
        b, c = int((right & ~other).sum()), int((~right & other).sum())
        tests.append(McNemar(b, c, float(binomtest(b, b + c).pvalue) if b + c else 1.0))
    return tuple(tests)
