"""How logits become labels: a temperature and a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feathertune.stats.probabilities import BINARY_THRESHOLD, decide, softmax


@dataclass(frozen=True)
class Decision:
    """How a model's logits become probabilities and labels.

    Attributes:
        temperature: the logits are divided by it before the softmax (Guo et al. 2017, arXiv:1706.04599).
        threshold: of two classes, the positive one is predicted where its probability >= this.
    """

    temperature: float = 1.0
    threshold: float = BINARY_THRESHOLD

    def probabilities(self, logits_NC: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """[N, C] logits -> [N, C] probabilities."""
        return softmax(logits_NC / np.float32(self.temperature) if self.temperature != 1 else logits_NC)

    def classes(self, probabilities_NC: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """[N, C] probabilities -> [N] classes."""
        return decide(probabilities_NC, self.threshold)


DEFAULT_DECISION = Decision()
