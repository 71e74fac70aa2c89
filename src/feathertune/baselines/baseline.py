"""What every baseline has: texts in, class probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from feathertune.stats.probabilities import MIN_PROBABILITY

Floats = npt.NDArray[np.float64]


class Baseline(Protocol):
    """A baseline that has seen its training data."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """C classes."""

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """[N, C] float64 of N texts."""

    def to_json(self) -> dict[str, Any]:
        """Everything it needs to answer again."""

    @property
    def trained_numbers(self) -> int:
        """How many numbers it took from the training data."""


def baseline_logits(baseline: Baseline, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """[N, C] float32: logarithms of the probabilities, that decisions are made of as they are of a model's logits."""
    return np.log(np.maximum(baseline.probabilities(texts), MIN_PROBABILITY)).astype(np.float32)
