"""95% intervals for every metric of one split: how much the choice of examples may have moved it.

Labels and predictions of N examples go in, `{metric: (low, high)}` comes out. Each metric gets the better of two
methods:

* **Wilson's score interval** (Wilson, JASA 1927; Brown, Cai & DasGupta, Statistical Science 2001) where the metric is a
  proportion: accuracy and, with two classes, precision, recall and F1. The distribution of a proportion is known, so
  simulating it can only lose: any bootstrap of 20 correct predictions out of 20 gives [1, 1]. Precision is TP out of
  TP + FP, recall TP out of TP + FN; F1 = 2J / (1 + J) increases with the Jaccard index J, TP out of TP + FP + FN.
* **BCa bootstrap** over examples (Efron, JASA 1987) for the rest: loss (skewed), ROC AUC (bounded and skewed) and macro
  averages (biased under resampling, since a rare class may be missing; each resample averages over the classes that
  occur in it, as the metric itself does). The acceleration comes from a delete-a-group jackknife with the same
  vectorised statistic, at a tenth of the bootstrap's cost. scipy's BCa is not used because it resamples values and
  cannot take the example weights that make this fast.

The calibration error has an interval of its own: see `calibration_error`.

Coverage in 1,500 simulated splits of 60 examples: ROC AUC 95.7% (percentile bootstrap: 93.0%), precision 95.2% (92.2%),
accuracy 95.1% (94.5%), loss 92.7% (92.5%). With 300 examples each was between 94.3% and 95.5%.

The intervals treat the examples as a sample of similar examples. They know nothing about other seeds or other data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest

from feathertune.stats.calibration_error import calibration_residuals, ece_interval
from feathertune.stats.resampling import (
    METRIC_NAMES,
    Floats,
    Statistics,
    Weights,
    bootstrap_weights,
    jackknife_weights,
    statistics_of,
)

Interval = tuple[float, float]
RESAMPLES = 2000
Z95 = float(ndtri(0.975))
NO_WIDTH = 1e-9  # a narrower interval is only rounding


def confidence_intervals(
    labels_N: npt.NDArray[np.int64],
    predicted_N: npt.NDArray[np.int64],
    probabilities_NC: Floats,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    names: Collection[str] = METRIC_NAMES,
) -> dict[str, Interval | None]:
    """The 95% interval of each of the metrics `names`; None for `roc_auc` where only one class is present.

    The same arrays and seed give the same numbers. Resamples in which a metric is undefined do not count for it.
    """
    counts = _proportions(labels_N, predicted_N, num_classes=probabilities_NC.shape[1])
    intervals: dict[str, Interval | None] = {name: wilson_interval(*pair) for name, pair in counts.items()}
    if (jaccard := intervals.get("f1")) is not None:
        intervals["f1"] = _f1_of_jaccard(jaccard)
    if simulated := [name for name in names if name not in intervals and name != "ece"]:
        statistics = statistics_of(labels_N, predicted_N, probabilities_NC, simulated)
        intervals |= _bca_intervals(statistics, simulated, len(labels_N), seed, resamples)
    if "ece" in names:
        intervals["ece"] = ece_interval(calibration_residuals(labels_N, probabilities_NC), seed)
    return {name: intervals[name] for name in names}


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's 95% score interval for a proportion; (0, 1) without any trials."""
    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    # at the ends the formula gives exactly 0 and 1, but for rounding
    return 0.0 if successes == 0 else float(interval.low), 1.0 if successes == trials else float(interval.high)


def _proportions(
    labels_N: npt.NDArray[np.int64], predicted_N: npt.NDArray[np.int64], *, num_classes: int
) -> dict[str, tuple[int, int]]:
    """(successes, trials) of each metric that is a proportion; for `f1`, those of the Jaccard index."""
    counts = {"accuracy": (int((labels_N == predicted_N).sum()), len(labels_N))}
    if num_classes == 2:
        true_N, positive_N = labels_N == 1, predicted_N == 1
        hits = int((true_N & positive_N).sum())
        counts["precision"] = (hits, int(positive_N.sum()))
        counts["recall"] = (hits, int(true_N.sum()))
        counts["f1"] = (hits, int((true_N | positive_N).sum()))
    return counts


def _f1_of_jaccard(interval: Interval) -> Interval:
    low, high = interval
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _bca_intervals(
    statistics: Statistics, names: Collection[str], count: int, seed: int, resamples: int
) -> dict[str, Interval | None]:
    """Bias-corrected and accelerated bootstrap intervals of the metrics `names`, over `count` examples."""
    rng = np.random.default_rng(seed)
    estimates = statistics(np.ones((1, count), dtype=np.float32))
    left_out = _collect(statistics, jackknife_weights(count, rng))
    drawn = _collect(statistics, bootstrap_weights(count, resamples, rng))
    return {name: bca_interval(float(estimates[name][0]), drawn[name], acceleration(left_out[name])) for name in names}


def _collect(statistics: Statistics, chunks: Iterator[Weights]) -> dict[str, Floats]:
    """The statistics of every chunk of weights, joined."""
    parts = [statistics(weights_BN) for weights_BN in chunks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def bca_interval(estimate: float, drawn_B: Floats, accelerated: float) -> Interval | None:
    """One BCa interval from the estimate, its bootstrap values and its acceleration (Efron 1987, eq. 2.3).

    None where all resamples give the same value up to rounding, as for a perfect ROC AUC: if resampling changes
    nothing, it says nothing about other examples, and an interval without width would claim certainty.
    """
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if not np.isfinite(estimate) or len(drawn_B) == 0:
        return None
    # ties count half, so that a metric on a coarse grid does not look biased
    below = ((drawn_B < estimate).sum() + (drawn_B == estimate).sum() / 2) / len(drawn_B)
    bias = ndtri(np.clip(below, 1 / (len(drawn_B) + 1), 1 - 1 / (len(drawn_B) + 1)))
    shifted = bias + np.array([-Z95, Z95])
    levels = ndtr(bias + shifted / (1 - accelerated * shifted))
    low, high = np.quantile(drawn_B, levels)
    return (float(low), float(high)) if high - low > NO_WIDTH else None


def acceleration(left_out_G: Floats) -> float:
    """A sixth of the skewness of the jackknife's influences, 0 where nothing varies, clipped to 0.12 either way."""
    left_out_G = left_out_G[np.isfinite(left_out_G)]
    if len(left_out_G) == 0:
        return 0.0
    influence_G = left_out_G.mean() - left_out_G
    spread = float((influence_G**2).sum() ** 1.5)
    if spread < 1e-30:  # only rounding
        return 0.0
    # 1 / (1 - a z) must stay positive for |z| up to 2 * 3.5
    return float(np.clip((influence_G**3).sum() / (6 * spread), -0.12, 0.12))
