"""From logits to probabilities, from probabilities to classes and losses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BINARY_THRESHOLD = 0.5


MIN_PROBABILITY = float(np.finfo(np.float64).tiny)


def decide(probabilities_NC: npt.NDArray[np.float64], threshold: float = BINARY_THRESHOLD) -> npt.NDArray[np.int64]:
    """The decision rule: [N, C] probabilities -> [N] int64 classes.

    Two classes: the positive (last) class where its probability >= the threshold, so a tie is positive. At 0.5 that is
    argmax in all but the tie, because of two softmax outputs the larger one, and only it, reaches 0.5.
    More classes: the most likely one, the first of equals; the threshold is not looked at.
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


def softmax(logits_NC: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """[N, C] logits -> [N, C] float64 probabilities; NaN, with no warning, where a logit is not finite."""
    with np.errstate(invalid="ignore"):  # inf - inf: `check_finite` names the row
        exponentials_NC = np.exp(logits_NC.astype(np.float64) - logits_NC.max(axis=1, keepdims=True))
    return np.asarray(exponentials_NC / exponentials_NC.sum(axis=1, keepdims=True))
