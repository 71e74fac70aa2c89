"""95% intervals for every metric, from one split's predictions: how far chance in the choice of examples may move it.

Predictions of N examples go in, `{metric: (low, high)}` comes out. Two methods, each where it is the better one:

* **Wilson's score interval** (Wilson, JASA 1927; Brown, Cai & DasGupta, Statistical Science 2001) for what is a plain
  proportion: accuracy, and with two classes precision, recall and F1. A proportion's law is known, so simulating
  it only loses: any bootstrap of 20 right answers of 20 says [1, 1]. Precision is TP of TP + FP, recall TP of
  TP + FN; F1 = 2J / (1 + J) rises with Jaccard's J, which is TP of TP + FP + FN.
* **BCa bootstrap** over examples (Efron, JASA 1987) for the rest: loss (skewed), ROC AUC (bounded and skewed) and
  macro averages (biased when resampled, for a rare class may be missing). The acceleration comes from a
  delete-a-group jackknife with the same vectorised statistic, at a tenth of the bootstrap's cost.

How often they held the truth in 1,500 simulated splits of 60 examples: ROC AUC 95.7% (a percentile bootstrap: 93.0%),
precision 95.2% (92.2%), accuracy 95.1% (94.5%), loss 92.7% (92.5%). Of 300 examples: 94.3% to 95.5%, each of them.

They speak of these examples as a sample of such examples. They know nothing of other seeds or other data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from feathertune.evaluation.predictions import Predictions

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]
Statistics = Callable[[npt.NDArray[np.float32]], dict[str, Floats]]
Area = Callable[[npt.NDArray[np.float32]], Floats]

METRIC_NAMES = ("loss", "accuracy", "precision", "recall", "f1", "roc_auc")
RESAMPLES = 2000
JACKKNIFE_GROUPS = 200
CHUNK_WEIGHTS = 1_000_000  # weights held at once: 4 MB, so that a chunk stays in the processor's cache
FEW_POSITIVES = 256  # up to here a matrix product beats a running sum
Z95 = float(ndtri(0.975))


def confidence_intervals(
    predictions: Predictions, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Interval | None]:
    """The 95% interval of each of METRIC_NAMES; None for `roc_auc` where one class alone is present.

    The same predictions and seed give the same numbers. Resamples in which a metric is undefined are left out of it.
    """
    bootstrap = _bca_intervals(predictions, seed=seed, resamples=resamples)
    proportions = {name: wilson_interval(*counts) for name, counts in _proportions(predictions).items()}
    if "f1" in proportions:
        proportions["f1"] = _f1_of_jaccard(proportions["f1"])
    return {name: proportions.get(name, bootstrap[name]) for name in METRIC_NAMES}


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's 95% score interval for a proportion; (0, 1) without a single trial."""
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, Z95 * Z95 / trials
    centre = (share + square / 2) / (1 + square)
    half = Z95 / (1 + square) * float(np.sqrt(share * (1 - share) / trials + square / (4 * trials)))
    # at the ends the formula is exactly 0 and 1; say so, whatever the rounding
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == trials else centre + half)


def weighted_statistics(predictions: Predictions) -> Statistics:
    """The metrics as a function of example weights: [B, N] float32 whole numbers -> {metric: [B] float64}.

    A row of weights says how often each example was drawn; all ones gives the metrics of the split itself, equal to
    scikit-learn's with `labels=range(C), zero_division=0`. NaN where undefined (ROC AUC of one class alone).
    """
    labels_N, predicted_N = predictions.labels, predictions.predicted
    classes = np.arange(len(predictions.label_names))
    is_true_NC = labels_N[:, None] == classes
    is_predicted_NC = predicted_N[:, None] == classes
    counted = np.concatenate([is_true_NC, is_predicted_NC, is_true_NC & is_predicted_NC], axis=1).astype(np.float32)
    losses_N = predictions.losses
    areas = _area_functions(labels_N, predictions.probabilities_NC)

    def statistics(weights_BN: npt.NDArray[np.float32]) -> dict[str, Floats]:
        total_B = weights_BN.sum(axis=1, dtype=np.float64)
        true_BC, said_BC, hit_BC = np.split((weights_BN @ counted).astype(np.float64), 3, axis=1)
        scores = {
            "precision": _ratio(hit_BC, said_BC),
            "recall": _ratio(hit_BC, true_BC),
            "f1": _ratio(2 * hit_BC, said_BC + true_BC),
        }
        binary = len(classes) == 2
        return {
            "loss": weights_BN @ losses_N / total_B,
            "accuracy": hit_BC.sum(axis=1) / total_B,
            **{name: value_BC[:, 1] if binary else value_BC.mean(axis=1) for name, value_BC in scores.items()},
            "roc_auc": _mean_of_defined([area(weights_BN) for area in areas], len(weights_BN)),
        }

    return statistics


def _proportions(predictions: Predictions) -> dict[str, tuple[int, int]]:
    """(successes, trials) of each metric that is a proportion; for `f1`, those of Jaccard's index."""
    labels_N, predicted_N = predictions.labels, predictions.predicted
    counts = {"accuracy": (int((labels_N == predicted_N).sum()), len(predictions))}
    if len(predictions.label_names) == 2:
        true, said = labels_N == 1, predicted_N == 1
        hits = int((true & said).sum())
        counts["precision"] = (hits, int(said.sum()))
        counts["recall"] = (hits, int(true.sum()))
        counts["f1"] = (hits, int((true | said).sum()))
    return counts


def _f1_of_jaccard(interval: Interval) -> Interval:
    low, high = interval
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _bca_intervals(predictions: Predictions, *, seed: int, resamples: int) -> dict[str, Interval | None]:
    """Bias-corrected and accelerated bootstrap intervals of all the metrics."""
    count = len(predictions)
    rng = np.random.default_rng(seed)
    statistics = weighted_statistics(predictions)
    itself = statistics(np.ones((1, count), dtype=np.float32))
    left_out = _collect(statistics, _jackknife_weights(count, rng))
    drawn = _collect(statistics, _bootstrap_weights(count, resamples, rng))
    return {name: _bca(float(itself[name][0]), drawn[name], left_out[name]) for name in METRIC_NAMES}


def _collect(statistics: Statistics, chunks: Iterator[npt.NDArray[np.float32]]) -> dict[str, Floats]:
    """The statistics of every chunk of weights, joined."""
    parts = [statistics(weights_BN) for weights_BN in chunks]
    return {name: np.concatenate([part[name] for part in parts]) for name in METRIC_NAMES}


def _bootstrap_weights(count: int, resamples: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.float32]]:
    """Chunks [B, N] of how often each of `count` examples is drawn in `resamples` draws of `count`."""
    size = max(1, CHUNK_WEIGHTS // count)
    for start in range(0, resamples, size):
        chunk = min(size, resamples - start)
        cells = rng.integers(count, size=(chunk, count)) + np.arange(chunk)[:, None] * count
        weights = np.bincount(cells.ravel(), minlength=chunk * count)
        yield weights.reshape(chunk, count).astype(np.float32)


def _jackknife_weights(count: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.float32]]:
    """Chunks [B, N] of ones with one random group of examples set to zero, each group once."""
    if count < 2:
        yield np.ones((1, count), dtype=np.float32)
        return
    groups = min(count, JACKKNIFE_GROUPS)
    group_N = rng.permutation(count) % groups
    size = max(1, CHUNK_WEIGHTS // count)
    for start in range(0, groups, size):
        chunk_B = np.arange(start, min(start + size, groups))
        yield (group_N != chunk_B[:, None]).astype(np.float32)


def _bca(itself: float, drawn_B: Floats, left_out_G: Floats) -> Interval | None:
    """One BCa interval from the estimate, its bootstrap values and its jackknife values (Efron 1987, eq. 2.3).

    None where every resample gives the same value, as for a perfect ROC AUC: what does not vary in resamples tells
    nothing about other examples, and an interval of no width would claim certainty.
    """
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if not np.isfinite(itself) or len(drawn_B) == 0 or drawn_B.min() == drawn_B.max():
        return None
    # ties count half: a metric on a coarse grid is not biased for that
    below = ((drawn_B < itself).sum() + (drawn_B == itself).sum() / 2) / len(drawn_B)
    bias = ndtri(np.clip(below, 1 / (len(drawn_B) + 1), 1 - 1 / (len(drawn_B) + 1)))
    shifted = bias + np.array([-Z95, Z95])
    levels = ndtr(bias + shifted / (1 - _acceleration(left_out_G) * shifted))
    low, high = np.quantile(drawn_B, levels)
    return float(low), float(high)


def _acceleration(left_out_G: Floats) -> float:
    """A sixth of the skewness of the jackknife's influences; 0 where nothing varies. Clipped far outside the usual."""
    left_out_G = left_out_G[np.isfinite(left_out_G)]
    if len(left_out_G) == 0:
        return 0.0
    influence_G = left_out_G.mean() - left_out_G
    spread = float((influence_G**2).sum() ** 1.5)
    if spread < 1e-30:  # rounding alone
        return 0.0
    # 1 / (1 - a z) must stay positive for |z| up to 2 * 3.5
    return float(np.clip((influence_G**3).sum() / (6 * spread), -0.12, 0.12))


def _area_functions(labels_N: npt.NDArray[np.int64], probabilities_NC: Floats) -> list[Area]:
    """One weighted ROC AUC: of the positive class for C = 2, of each class against the rest for C > 2."""
    classes = [1] if probabilities_NC.shape[1] == 2 else range(probabilities_NC.shape[1])
    return [_area_function(labels_N == index, probabilities_NC[:, index]) for index in classes]


def _area_function(positive_N: npt.NDArray[np.bool_], scores_N: Floats) -> Area:
    """[B, N] weights -> [B] area under the ROC curve: the share of (positive, negative) pairs in the right order.

    A pair of equal scores counts half (Mann & Whitney 1947), which is what scikit-learn's trapezia give. NaN where a
    class is missing. Few positives are compared with everyone in a matrix product; many are ranked.
    """
    pairs = _pairs_by_product if positive_N.sum() <= FEW_POSITIVES else _pairs_by_rank
    right_pairs = pairs(positive_N, scores_N)
    sides_N2 = np.stack([positive_N, ~positive_N], axis=1).astype(np.float32)

    def area(weights_BN: npt.NDArray[np.float32]) -> Floats:
        all_B = np.prod((weights_BN @ sides_N2).astype(np.float64), axis=1)
        right_B = right_pairs(weights_BN)
        return np.asarray(np.divide(right_B, all_B, out=np.full(len(all_B), np.nan), where=all_B > 0))

    return area


def _pairs_by_rank(positive_N: npt.NDArray[np.bool_], scores_N: Floats) -> Area:
    """[B, N] weights -> [B] pairs in the right order, from a running sum of the negatives' weights in score order."""
    order_N = np.argsort(scores_N, kind="stable")
    sorted_N = scores_N[order_N]
    starts = np.flatnonzero(np.r_[True, sorted_N[1:] != sorted_N[:-1]])
    sign_N = positive_N[order_N].astype(np.float32)

    def pairs(weights_BN: npt.NDArray[np.float32]) -> Floats:
        sorted_BN = weights_BN[:, order_N]
        positive_BG = sorted_BN * sign_N
        negative_BG = sorted_BN - positive_BG
        if len(starts) < len(order_N):  # ties: one entry for each distinct score
            positive_BG = np.add.reduceat(positive_BG, starts, axis=1)
            negative_BG = np.add.reduceat(negative_BG, starts, axis=1)
        below_BG = np.cumsum(negative_BG, axis=1)  # whole and half numbers: exact in float32 up to 8 million examples
        below_BG -= negative_BG / 2
        return np.asarray(np.einsum("bg,bg->b", positive_BG, below_BG, dtype=np.float64))

    return pairs


def _pairs_by_product(positive_N: npt.NDArray[np.bool_], scores_N: Floats) -> Area:
    """The same from the comparison of each of P positives with every example; five times as fast with 77 classes."""
    scores_P = scores_N[positive_N]

    def pairs(weights_BN: npt.NDArray[np.float32]) -> Floats:
        # built anew for each chunk: of all classes together it would be N x N
        wins_NP = (scores_N[:, None] < scores_P).astype(np.float32)
        wins_NP += (scores_N[:, None] == scores_P) * np.float32(0.5)
        wins_NP[positive_N] = 0
        below_BP = weights_BN @ wins_NP
        return np.asarray(np.einsum("bp,bp->b", weights_BN[:, positive_N], below_BP, dtype=np.float64))

    return pairs


def _mean_of_defined(values: list[Floats], count: int) -> Floats:
    """[B] means over those of the `values` that are not NaN; NaN where all are."""
    total_B, defined_B = np.zeros(count), np.zeros(count)
    for value_B in values:
        total_B += np.nan_to_num(value_B, nan=0.0)
        defined_B += ~np.isnan(value_B)
    return np.asarray(np.divide(total_B, defined_B, out=np.full(count, np.nan), where=defined_B > 0))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element by element, 0 where the denominator is 0 (scikit-learn's `zero_division=0`)."""
    return np.asarray(np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0))
