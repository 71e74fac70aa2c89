"""Choosing a temperature and a threshold: labels with logits or scores in, one number out."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from feathertune.stats.probabilities import BINARY_THRESHOLD

TEMPERATURES = (0.05, 20.0)  # where every prediction is right, the loss alone would go down to 0


def fit_temperature(labels_N: npt.NDArray[np.int64], logits_NC: npt.NDArray[np.float32]) -> float:
    """The temperature, from 0.05 to 20, that minimizes the mean cross-entropy of `logits_NC / temperature`.

    This is temperature scaling (Guo et al. 2017, arXiv:1706.04599).
    """
    logits_NC = logits_NC.astype(np.float64)
    true_N = logits_NC[np.arange(len(labels_N)), labels_N]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float((logsumexp(scale * logits_NC, axis=1) - scale * true_N).mean())

    # convex in 1/T, so there is only one minimum
    result = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(result.x))


def best_threshold(
    labels_N: npt.NDArray[np.int64],
    scores_N: npt.NDArray[np.float64],
    metric: Literal["accuracy", "f1", "balanced_accuracy"],
) -> float:
    """The threshold on the scores of class 1 (from 0 to 1) with the best value of a metric.

    It lies midway between two neighbouring scores; of several equally good ones it is the nearest to 0.5.
    """
    scores_G, group_N = np.unique(scores_N, return_inverse=True)  # G different scores, G + 1 thresholds between them
    total_G = np.bincount(group_N)
    positive_G = np.bincount(group_N, weights=labels_N == 1)
    # [G + 1], from the lowest threshold: the examples, and the positive ones, with a score at or above it
    predicted = np.append(np.cumsum(total_G[::-1])[::-1], 0)
    hits = np.append(np.cumsum(positive_G[::-1])[::-1], 0)
    positives, count = int(positive_G.sum()), len(labels_N)
    true_negatives = count - positives - (predicted - hits)
    value = {
        "accuracy": (hits + true_negatives) / count,
        "f1": 2 * hits / np.maximum(predicted + positives, 1),
        "balanced_accuracy": (hits / max(positives, 1) + true_negatives / max(count - positives, 1)) / 2,
    }[metric]
    below, above = np.append(0.0, scores_G), np.append(scores_G, 1.0)
    middle = (below + above) / 2
    middle = np.where((below < BINARY_THRESHOLD) & (above >= BINARY_THRESHOLD), BINARY_THRESHOLD, middle)
    possible = (middle > below) & (middle < 1)  # nothing lies between 0 and a score of 0, or two adjacent floats
    best = possible & (value >= value[possible].max() - 1e-12)
    return float(middle[best][np.abs(middle[best] - BINARY_THRESHOLD).argmin()])
