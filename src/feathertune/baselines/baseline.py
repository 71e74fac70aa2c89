"""What all baselines have in common: texts in, class probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from feathertune.stats.probabilities import MIN_PROBABILITY

Floats = npt.NDArray[np.float64]


class Baseline(Protocol):
    """A baseline that was fitted to its training data."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """C classes."""

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[N, C] float64 for N texts."""

    def to_json(self) -> dict[str, Any]:
        """Everything needed to predict again."""

    @property
    def trained_numbers(self) -> int:
        """How many numbers were fitted to the training data."""


def baseline_logits(baseline: Baseline, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """[N, C] float32: log-probabilities, which a `Decision` treats like a model's logits."""
    return np.log(np.maximum(baseline.probabilities(texts), MIN_PROBABILITY)).astype(np.float32)
