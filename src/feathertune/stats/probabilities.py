"""From logits to probabilities, from probabilities to classes and losses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

BINARY_THRESHOLD = 0.5
MIN_PROBABILITY = float(np.finfo(np.float64).tiny)


def softmax(logits_NC: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """[N, C] logits -> [N, C] float64 probabilities; NaN, without a warning, where a logit is not finite."""
    with np.errstate(invalid="ignore"):  # inf - inf: `Predictions.check_finite` names the row
        return np.asarray(special.softmax(logits_NC.astype(np.float64), axis=1))


def decide(probabilities_NC: npt.NDArray[np.float64], threshold: float = BINARY_THRESHOLD) -> npt.NDArray[np.int64]:
    """The decision rule: [N, C] probabilities -> [N] int64 classes.

    Two classes: the positive (last) one where its probability >= the threshold. At 0.5 this is argmax, except that a
    tie is positive: of two softmax outputs that differ, the larger one, and only that one, reaches 0.5.
    More classes: the most likely one, the first of equals; the threshold is not used.
    """
    if probabilities_NC.shape[1] == 2:
        return (probabilities_NC[:, 1] >= threshold).astype(np.int64)
    return np.asarray(probabilities_NC.argmax(axis=1), dtype=np.int64)


def cross_entropy(
    labels_N: npt.NDArray[np.int64], probabilities_NC: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """[N] float64: the loss of each example in nats, at most 708 (the smallest normal float64)."""
    true_N = probabilities_NC[np.arange(len(labels_N)), labels_N]
    return np.asarray(-np.log(np.maximum(true_N, MIN_PROBABILITY)))
