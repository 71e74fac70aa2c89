"""The majority class: always predicts the most frequent training label, with the label frequencies as probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.baselines.baseline import Floats


@dataclass(frozen=True)
class MajorityBaseline:
    """Knows the counts of the training labels, and looks at no text.

    Attributes:
        label_names: C classes.
        frequencies_C: their shares of the training examples, which are its probabilities for every text.
    """

    label_names: tuple[str, ...]
    frequencies_C: Floats

    @classmethod
    def fit(cls, labels_N: npt.NDArray[np.int64], label_names: tuple[str, ...]) -> MajorityBaseline:
        """Count the labels. Raises ValueError where there are none."""
        counts_C = np.bincount(labels_N, minlength=len(label_names))
        if counts_C.sum() == 0:
            raise ValueError("there are no training labels to count")
        return cls(label_names, counts_C / counts_C.sum())

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """See `Baseline`; the same row N times."""
        return np.tile(self.frequencies_C, (len(texts), 1))

    def to_json(self) -> dict[str, Any]:
        """See `Baseline`."""
        return {"label_names": list(self.label_names), "frequencies": self.frequencies_C.tolist()}

    @property
    def trained_numbers(self) -> int:
        """One for each class."""
        return len(self.frequencies_C)
