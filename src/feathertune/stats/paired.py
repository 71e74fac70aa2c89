"""Two methods on the same examples: how far apart they are, and whether chance could explain it.

The predictions of one method for N examples with S seeds go in (`SeedPredictions`). Out comes the interval of a metric,
or the difference of two methods with its interval and p-value, over examples and seeds as `seeds` explains. The exact
McNemar test is scipy's, the correction for several tests Holm's (Scandinavian Journal of Statistics 1979).

With one seed, only the variation over examples is covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from scipy.stats import t as student_t

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


class McNemar(NamedTuple):
    """Examples that only the first method gets right (b), only the second (c), and the exact two-sided p-value."""

    b: int
    c: int
    p: float


@dataclass(frozen=True)
class PairedDifference:
    """The first method minus the second, on the same examples.

    Attributes:
        metric: one of METRIC_NAMES.
        difference: between the means over the seeds.
        low, high: its 95% interval.
        p_value: for the hypothesis of no difference. McNemar's for accuracy with one seed each. Otherwise twice the
            smaller tail of the bootstrap, but at least what so few differing predictions allow; where that is 5% or
            more, the interval includes 0.
        mcnemar: one test for each pair of runs; a method with a single run is compared with each run of the other.
        seeds: number of runs of each method.
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
    """The difference of two methods in a metric, by the paired bootstrap: each resample is used for both.

    Raises ValueError where the predictions are not for the same examples, or where the metric is undefined (ROC AUC of
    a single class).
    """
    if not np.array_equal(first.label_N, second.label_N):
        raise ValueError("these predictions are not for the same examples")
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
        # The same difference in every resample: that no example here contradicts it does not mean that none would. So
        # count as if one of two further examples did (Agresti & Min, Statistics in Medicine 2005).
        half = Z95 / (len(first.label_N) + 2)
        low, high = value - half, value + half
    p_value = max(p_value, smallest := _smallest_p(first, second, metric))
    if smallest >= LEVEL:
        low, high = min(low, 0.0), max(high, 0.0)
    tests = _mcnemar_by_seed(first, second)
    if metric == "accuracy" and len(tests) == 1:
        p_value = tests[0].p
    low, high = _clipped(metric, float(low), float(high), lowest=-1.0)
    return PairedDifference(metric, value, low, high, p_value, tests, (first.seeds, second.seeds))


def interval_over_seeds(
    predictions: SeedPredictions, metric: str, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float | None, float | None, float | None]:
    """(value, low, high): the mean over seeds of one of METRIC_NAMES with its 95% interval over examples and seeds.

    With one seed the interval is that of `confidence_intervals`. None where undefined: ROC AUC of a single class, or
    the interval of a value that no resample changes.
    """
    if predictions.seeds == 1:
        ones = np.ones((1, len(predictions.label_N)), dtype=np.float32)
        value = float(collect([predictions], metric, [ones])[0][0, 0])
        interval = _first_run_interval(predictions, metric, seed, resamples)
        return (value if np.isfinite(value) else None, *(interval or (None, None)))
    if metric == "ece":
        return _ece_over_seeds(predictions, seed)
    rng = np.random.default_rng(seed)
    levels = two_levels([predictions], metric, rng, resamples)
    value = float(levels.values[0])
    if not np.isfinite(value):
        return None, None, None
    left_out_G = collect([predictions], metric, jackknife_weights(len(predictions.label_N), rng))[0].mean(axis=1)
    drawn_B, noise_B = levels.means_B[0], levels.seed_noise_B
    spread = float(np.nanvar(drawn_B))
    share = spread / max(spread + levels.seed_variance, 1e-300)  # the seeds' noise is not skewed
    interval = bca_interval(value, drawn_B + noise_B, acceleration(left_out_G) * share**1.5)
    if interval is None:  # nothing varies, as where every prediction is right: take the interval of a single run
        interval = _first_run_interval(predictions, metric, seed, resamples)
    return (value, None, None) if interval is None else (value, *_clipped(metric, *interval, lowest=0.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, adjusted so that all those below 5% can be trusted together (Holm 1979), in the same order."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _ece_over_seeds(predictions: SeedPredictions, seed: int) -> tuple[float, float | None, float | None]:
    """Mean, low and high: the average of the runs' intervals, widened by the spread between the runs.

    The squares of the distances from the mean add up (MOVER: Zou & Donner, Statistics in Medicine 2008).
    """
    residuals_SNK = [
        calibration_residuals(predictions.label_N, probability_NC) for probability_NC in predictions.probability_SNC
    ]
    value_S = np.array([np.abs(residuals_NK.mean(axis=0, dtype=np.float64)).sum() for residuals_NK in residuals_SNK])
    value = float(value_S.mean())
    intervals = [pair for residuals_NK in residuals_SNK if (pair := ece_interval(residuals_NK, seed)) is not None]
    if not intervals:
        return value, None, None
    low, high = np.mean(intervals, axis=0)
    quantile, seeds = float(student_t.ppf(1 - LEVEL / 2, predictions.seeds - 1)), predictions.seeds
    between = quantile * value_S.std(ddof=1) / np.sqrt(seeds)
    ends = float(value - np.hypot(value - low, between)), float(value + np.hypot(high - value, between))
    return value, *_clipped("ece", *ends, lowest=0.0)


def _smallest_p(first: SeedPredictions, second: SeedPredictions, metric: str) -> float:
    """The two-sided p-value of a sign test in which every example where the methods differ favours the same one.

    A bootstrap cannot see this limit: if 4 of 200 examples all favour one method, 2% of resamples contain none of them,
    while 4 coins all land the same way in 12.5% of cases. More seeds do not make more examples. Where a metric
    looks at one class (recall), only its examples count; where it looks at pairs (ROC AUC), those of the smaller class.
    """
    differ_N = _differ(first, second, by_class=metric not in ("loss", "ece", "roc_auc"))
    counts_C = np.bincount(first.label_N[differ_N], minlength=first.probability_SNC.shape[2])
    count = counts_C.sum()
    if len(counts_C) == 2 and metric in ("recall", "roc_auc"):
        count = counts_C[1] if metric == "recall" else counts_C.min()
    return float(min(1.0, 2 * 0.5**count))


def _differ(first: SeedPredictions, second: SeedPredictions, *, by_class: bool) -> npt.NDArray[np.bool_]:
    """[N] whether the methods' predictions differ in any pair of their runs: in class, or in probability."""
    differ_KN = [
        first.predicted(one) != second.predicted(other)
        if by_class
        else (first.probability_SNC[one] != second.probability_SNC[other]).any(axis=1)
        for one in range(first.seeds)
        for other in range(second.seeds)
    ]
    return np.asarray(np.any(differ_KN, axis=0))


def _clipped(metric: str, low: float, high: float, *, lowest: float) -> Interval:
    """The interval clipped to `lowest` and 1, unless it is the loss's: Student's t with two seeds has long tails."""
    return (low, high) if metric == "loss" else (max(low, lowest), min(high, 1.0))


def _first_run_interval(predictions: SeedPredictions, metric: str, seed: int, resamples: int) -> Interval | None:
    """The interval of the first run's metric, over examples."""
    arrays = predictions.label_N, predictions.predicted(0), predictions.probability_SNC[0]
    return confidence_intervals(*arrays, seed=seed, resamples=resamples, names=(metric,))[metric]


def _mcnemar_by_seed(first: SeedPredictions, second: SeedPredictions) -> tuple[McNemar, ...]:
    """One test for each pair of runs; none where the methods have different numbers of runs, and neither has one."""
    if first.seeds != second.seeds and 1 not in (first.seeds, second.seeds):
        return ()
    tests = []
    for index in range(max(first.seeds, second.seeds)):
        right_N, other_N = (method.predicted(index % method.seeds) == method.label_N for method in (first, second))
        b, c = int((right_N & ~other_N).sum()), int((~right_N & other_N).sum())
        tests.append(McNemar(b, c, float(binomtest(b, b + c).pvalue) if b + c else 1.0))
    return tuple(tests)
