"""Metrics as functions of example weights, so that bootstrap and jackknife compute many resamples at once.

A resample of N examples is a row of N whole numbers: how often each was drawn. [B, N] weights go in, [B] values of each
metric come out, by matrix products and running sums.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np
import numpy.typing as npt

from feathertune.stats.calibration_error import calibration_residuals
from feathertune.stats.probabilities import cross_entropy

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]
Statistics = Callable[[Weights], dict[str, Floats]]
Area = Callable[[Weights], Floats]

METRIC_NAMES = ("loss", "accuracy", "precision", "recall", "f1", "roc_auc", "ece")
JACKKNIFE_GROUPS = 200
CHUNK_WEIGHTS = 1_000_000  # weights held at once: 4 MB, so that a chunk fits in the processor's cache
MAX_POSITIVES_BY_MATMUL = 256  # up to here, in at most so many examples, a matrix product beats a running sum
MAX_EXAMPLES_BY_MATMUL = 10_000


def statistics_of(
    labels_N: npt.NDArray[np.int64],
    predicted_N: npt.NDArray[np.int64],
    probabilities_NC: Floats,
    names: Collection[str] = METRIC_NAMES,
) -> Statistics:
    """The metrics `names` as a function of example weights: [B, N] float32 whole numbers -> {metric: [B] float64}.

    A row of weights says how often each example was drawn; all ones gives the metrics of the N examples themselves,
    equal to scikit-learn's with `labels=None, zero_division=0`. NaN where undefined (ROC AUC of a single class).

    Macro averages are over the classes that occur in the truth or predictions of the resample itself: what is resampled
    is the metric as it is defined, and it leaves out other classes in other samples. Counting a rare class that was
    not drawn as 0 would move the resamples below the value that they are drawn around.
    """
    classes = np.arange(probabilities_NC.shape[1])
    is_true_NC = labels_N[:, None] == classes
    is_predicted_NC = predicted_N[:, None] == classes
    counted = np.concatenate([is_true_NC, is_predicted_NC, is_true_NC & is_predicted_NC], axis=1).astype(np.float32)
    losses_N = cross_entropy(labels_N, probabilities_NC) if "loss" in names else None
    areas = _area_functions(labels_N, probabilities_NC) if "roc_auc" in names else None
    residuals_NK = calibration_residuals(labels_N, probabilities_NC) if "ece" in names else None

    def statistics(weights_BN: Weights) -> dict[str, Floats]:
        """[B, N] weights -> for each of `names`, [B] values."""
        total_B = weights_BN.sum(axis=1, dtype=np.float64)
        true_BC, predicted_BC, hit_BC = np.split((weights_BN @ counted).astype(np.float64), 3, axis=1)
        ratios = {
            "precision": (hit_BC, predicted_BC),
            "recall": (hit_BC, true_BC),
            "f1": (2 * hit_BC, predicted_BC + true_BC),
        }
        occurring_B = (true_BC + predicted_BC > 0).sum(axis=1)
        values = {"accuracy": hit_BC.sum(axis=1) / total_B}
        for name in ratios.keys() & set(names):
            value_BC = _ratio(*ratios[name])
            values[name] = value_BC[:, 1] if len(classes) == 2 else value_BC.sum(axis=1) / occurring_B
        if losses_N is not None:
            values["loss"] = weights_BN @ losses_N / total_B
        if areas is not None:
            values["roc_auc"] = _mean_of_defined([area(weights_BN) for area in areas], len(weights_BN))
        if residuals_NK is not None:
            values["ece"] = np.abs(weights_BN @ residuals_NK).sum(axis=1) / total_B
        return {name: values[name] for name in names}

    return statistics


def bootstrap_weights(count: int, resamples: int, rng: np.random.Generator) -> Iterator[Weights]:
    """Chunks [B, N] of counts: how often each of `count` examples is drawn in each of `resamples` resamples."""
    size = max(1, CHUNK_WEIGHTS // count)
    for start in range(0, resamples, size):
        chunk = min(size, resamples - start)
        cells = rng.integers(count, size=(chunk, count)) + np.arange(chunk)[:, None] * count
        weights = np.bincount(cells.ravel(), minlength=chunk * count)
        yield weights.reshape(chunk, count).astype(np.float32)


def jackknife_weights(count: int, rng: np.random.Generator) -> Iterator[Weights]:
    """Chunks [B, N] of ones with one random group of examples set to zero, every group once."""
    if count < 2:
        yield np.ones((1, count), dtype=np.float32)
        return
    groups = min(count, JACKKNIFE_GROUPS)
    group_N = rng.permutation(count) % groups
    size = max(1, CHUNK_WEIGHTS // count)
    for start in range(0, groups, size):
        chunk_B = np.arange(start, min(start + size, groups))
        yield (group_N != chunk_B[:, None]).astype(np.float32)


def _area_functions(labels_N: npt.NDArray[np.int64], probabilities_NC: Floats) -> list[Area]:
    """One weighted ROC AUC: of the positive class for C = 2, of each class against the rest for C > 2."""
    classes = [1] if probabilities_NC.shape[1] == 2 else range(probabilities_NC.shape[1])
    return [_area_function(labels_N == index, probabilities_NC[:, index]) for index in classes]


def _area_function(positive_N: npt.NDArray[np.bool_], scores_N: Floats) -> Area:
    """[B, N] weights -> [B] area under the ROC curve: the share of (positive, negative) pairs in the right order.

    A pair of equal scores counts half (Mann & Whitney 1947), as with scikit-learn's trapezoids. NaN where a class is
    missing. Few positives among few examples are compared with all others in a matrix product; many are ranked.
    """
    few = positive_N.sum() <= MAX_POSITIVES_BY_MATMUL and len(positive_N) <= MAX_EXAMPLES_BY_MATMUL
    pairs = _pairs_by_product if few else _pairs_by_rank
    right_pairs = pairs(positive_N, scores_N)
    sides_N2 = np.stack([positive_N, ~positive_N], axis=1).astype(np.float32)

    def area(weights_BN: Weights) -> Floats:
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

    def pairs(weights_BN: Weights) -> Floats:
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
    """The same by comparing each of P positives with every example; five times as fast with 77 classes."""
    scores_P = scores_N[positive_N]

    def pairs(weights_BN: Weights) -> Floats:
        # built for each chunk again: kept for all classes together, it would be N x N
        wins_NP = (scores_N[:, None] < scores_P).astype(np.float32)
        wins_NP += (scores_N[:, None] == scores_P) * np.float32(0.5)
        wins_NP[positive_N] = 0
        below_BP = weights_BN @ wins_NP
        return np.asarray(np.einsum("bp,bp->b", weights_BN[:, positive_N], below_BP, dtype=np.float64))

    return pairs


def _mean_of_defined(values: list[Floats], count: int) -> Floats:
    """[B] means over the `values` that are not NaN; NaN where all are."""
    total_B, defined_B = np.zeros(count), np.zeros(count)
    for value_B in values:
        total_B += np.nan_to_num(value_B, nan=0.0)
        defined_B += ~np.isnan(value_B)
    return np.asarray(np.divide(total_B, defined_B, out=np.full(count, np.nan), where=defined_B > 0))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element by element, 0 where the denominator is 0 (scikit-learn's `zero_division=0`)."""
    return np.asarray(np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0))
