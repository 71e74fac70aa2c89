"""Predictions: a model's output for each example, and nothing about how good it is.

Logits (from a model) or probabilities (from a prediction file) go in; classes come out. `Decision` is the only place
where logits become probabilities and probabilities become classes, so metrics, prediction files, exports and the
server can never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from feathertune.data.example import Split
from feathertune.data.texts import StoredTexts
from feathertune.prediction.decision import DEFAULT_DECISION, Decision
from feathertune.stats.probabilities import MIN_PROBABILITY, cross_entropy


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for the N examples of a split with C classes, in the split's order.

    Attributes:
        split: the split's name.
        label_names: C class names, in the order of the columns of `logits_NC`; the last of two is the positive one.
        rows: [N] int64, 1-based rows in the source.
        texts: N strings.
        labels: [N] int64, the true classes.
        ratings: [N] float64, or None.
        logits_NC: [N, C] float32, the model's output.
        saved_probabilities_NC: [N, C] float64 where the probabilities are given (`from_probabilities`); None where they
            follow from the logits.
        saved_predicted_N: [N] int64 where the classes are given; None where they follow by `decision`.
        decision: how logits become probabilities and classes.
        cross_fitted: where `decision` was chosen on these examples, the same examples with each half predicted by the
            decision chosen on the other half. Their metrics show what the choice is worth.
    """

    split: str
    label_names: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    texts: Sequence[str]
    labels: npt.NDArray[np.int64]
    ratings: npt.NDArray[np.float64] | None
    logits_NC: npt.NDArray[np.float32]
    saved_probabilities_NC: npt.NDArray[np.float64] | None = None
    saved_predicted_N: npt.NDArray[np.int64] | None = None
    decision: Decision = DEFAULT_DECISION
    cross_fitted: Predictions | None = None

    @classmethod
    def of_split(cls, split: Split, label_names: tuple[str, ...], logits_NC: npt.NDArray[np.float32]) -> Predictions:
        """Predictions from the logits of a model or a baseline for a split's examples."""
        texts = StoredTexts(split.texts)
        return cls(split.name, label_names, split.rows, texts, split.labels, split.ratings, logits_NC)

    @classmethod
    def from_probabilities(
        cls,
        *,
        split: str,
        label_names: tuple[str, ...],
        rows: npt.NDArray[np.int64],
        texts: Sequence[str],
        labels: npt.NDArray[np.int64],
        ratings: npt.NDArray[np.float64] | None,
        probabilities_NC: npt.NDArray[np.float64],
        predicted_N: npt.NDArray[np.int64] | None = None,
        decision: Decision = DEFAULT_DECISION,
    ) -> Predictions:
        """Predictions from probabilities, and perhaps classes, which are kept to the last bit.

        The logits are the log-probabilities: the same softmax up to rounding, but not the model's own numbers.
        """
        logits_NC = np.log(np.maximum(probabilities_NC, MIN_PROBABILITY)).astype(np.float32)
        given = (probabilities_NC, predicted_N, decision)
        return cls(split, label_names, rows, texts, labels, ratings, logits_NC, *given)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def probabilities_NC(self) -> npt.NDArray[np.float64]:
        """[N, C] float64: the saved ones, else the softmax of the logits (NaN where a logit is not finite)."""
        if self.saved_probabilities_NC is not None:
            return self.saved_probabilities_NC
        return self.decision.probabilities(self.logits_NC)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """[N] int64: the saved classes, else those that follow by `decision`."""
        if self.saved_predicted_N is not None:
            return self.saved_predicted_N
        return self.decision.classes(self.probabilities_NC)

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """[N] float64: `cross_entropy` of each example.

        They are computed from the probabilities, so a prediction file gives exactly the reported loss.
        """
        return cross_entropy(self.labels, self.probabilities_NC)

    def check_finite(self) -> None:
        """Raise ValueError, naming the row, if any logit or probability is NaN or infinite."""
        bad_N = ~(np.isfinite(self.logits_NC).all(axis=1) & np.isfinite(self.probabilities_NC).all(axis=1))
        if bad_N.any():
            first = int(bad_N.argmax())
            raise ValueError(
                f"row {int(self.rows[first])} of {self.split}: the model's logits are not finite "
                f"({self.logits_NC[first].tolist()}); {int(bad_N.sum())} of {len(self)} rows are like this"
            )
