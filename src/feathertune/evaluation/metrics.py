"""How good predictions are: `Predictions` -> `Metrics`, by scikit-learn, and the trivial baseline to beat.

One class is positive where there are two (the last name), and precision, recall and F1 are its; with more classes
they are macro averages over all C names. A ratio without a denominator is 0 (scikit-learn's `zero_division=0`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from feathertune.prediction.predictions import Predictions
from feathertune.stats.calibration_error import expected_calibration_error
from feathertune.stats.intervals import Interval, confidence_intervals

CROSS_FITTED = ("loss", "accuracy", "precision", "recall", "f1", "ece")


@dataclass(frozen=True)
class Metrics:
    """The metrics of one split, in plain Python numbers. Rates are shares of 1.

    Attributes:
        split: the split's name.
        num_examples: N.
        loss: mean cross-entropy in nats.
        accuracy: share of right answers.
        precision, recall, f1: of the positive class (`averaging` binary) or the mean over classes (macro).
        roc_auc: of the positive class, or the mean over the classes, each against the rest, that have examples on
            both sides; None where one class alone is present.
        ece: expected calibration error (see `calibration`), a difference of shares.
        temperature: that the logits were divided by; 1 is the model as it is.
        threshold: the positive class is predicted where its probability >= this; None for many classes.
        averaging: binary or macro.
        positive_label: the last name where there are two, else None.
        per_class: name -> precision, recall, f1 and support (its number of examples).
        confusion_matrix: C rows (true) of C columns (predicted), counts.
        label_names: C names, the order of `confusion_matrix`.
        intervals: metric -> (low, high) at 95%, None where undefined; empty where none were asked for.
        cross_fitted: where temperature or threshold were chosen on this very split, what they are worth: the metrics
            of CROSS_FITTED and their `intervals`, each half of the examples answered by what was chosen on the other.
            The other numbers flatter. None where nothing was chosen here.
    """

    split: str
    num_examples: int
    loss: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float | None
    ece: float
    temperature: float
    threshold: float | None
    averaging: Literal["binary", "macro"]
    positive_label: str | None
    per_class: Mapping[str, Mapping[str, float]]
    confusion_matrix: tuple[tuple[int, ...], ...]
    label_names: tuple[str, ...]
    intervals: Mapping[str, Interval | None]
    cross_fitted: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The attributes in dicts, lists and plain numbers, ready for `json.dumps(allow_nan=False)`."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "per_class": {name: dict(scores) for name, scores in self.per_class.items()},
            "confusion_matrix": [list(row) for row in self.confusion_matrix],
            "label_names": list(self.label_names),
            "intervals": {name: None if pair is None else list(pair) for name, pair in self.intervals.items()},
        }


def compute_metrics(predictions: Predictions, *, intervals: bool = True, seed: int = 0) -> Metrics:
    """Every metric of `predictions`, with 95% intervals (see `intervals`) drawn from `seed` if asked for.

    Raises ValueError where there are no examples, and where a logit is NaN or infinite (it names the row).
    """
    if len(predictions) == 0:
        raise ValueError(f"there are no examples in {predictions.split}")
    predictions.check_finite()
    labels_N, predicted_N, names = predictions.labels, predictions.predicted, predictions.label_names
    classes = range(len(names))
    per_class_4C = precision_recall_fscore_support(labels_N, predicted_N, labels=classes, zero_division=0.0)
    binary = len(names) == 2
    precision, recall, f1 = (float(scores[1] if binary else scores.mean()) for scores in per_class_4C[:3])
    return Metrics(
        split=predictions.split,
        num_examples=len(predictions),
        # not scikit-learn's log_loss: it clips probabilities at 2e-16, so that a loss above 36 would be hidden
        loss=float(predictions.losses.mean()),
        accuracy=float(accuracy_score(labels_N, predicted_N)),
        precision=precision,
        recall=recall,
        f1=f1,
        roc_auc=_roc_auc(labels_N, predictions.probabilities_NC),
        ece=expected_calibration_error(labels_N, predictions.probabilities_NC),
        temperature=predictions.decision.temperature,
        threshold=predictions.decision.threshold if binary else None,
        averaging="binary" if binary else "macro",
        positive_label=names[1] if binary else None,
        per_class={name: _class_scores(per_class_4C, index) for index, name in enumerate(names)},
        confusion_matrix=tuple(map(tuple, confusion_matrix(labels_N, predicted_N, labels=classes).tolist())),
        label_names=names,
        intervals=confidence_intervals(predictions, seed=seed) if intervals else {},
        cross_fitted=_cross_fitted(predictions.cross_fitted, intervals=intervals, seed=seed),
    )


def majority_baseline(
    train_labels: npt.NDArray[np.int64], predictions: Predictions, *, intervals: bool = False
) -> Metrics:
    """The metrics of one who has only counted the training labels, on the examples of `predictions`.

    Every answer is the most frequent class of `train_labels` ([M] int64), and its probabilities are the classes'
    frequencies there, so the loss is that of the best constant answer. A class that training never saw has
    probability 0: its examples cost 708 nats each (see `Predictions.losses`).
    """
    counts_C = np.bincount(train_labels, minlength=len(predictions.label_names))
    if counts_C.sum() == 0:
        raise ValueError("there are no training labels to count")
    constant = Predictions.from_probabilities(
        split=predictions.split,
        label_names=predictions.label_names,
        rows=predictions.rows,
        texts=predictions.texts,
        labels=predictions.labels,
        ratings=predictions.ratings,
        probabilities_NC=np.tile(counts_C / counts_C.sum(), (len(predictions), 1)),
    )
    return compute_metrics(constant, intervals=intervals)


def _cross_fitted(predictions: Predictions | None, *, intervals: bool, seed: int) -> dict[str, Any] | None:
    if predictions is None:
        return None
    found = compute_metrics(predictions, intervals=intervals, seed=seed).to_json()
    kept = {name: pair for name, pair in found["intervals"].items() if name in CROSS_FITTED}
    return {name: found[name] for name in CROSS_FITTED} | {"intervals": kept}


def _roc_auc(labels_N: npt.NDArray[np.int64], probabilities_NC: npt.NDArray[np.float64]) -> float | None:
    """ROC AUC of the positive class, or one-vs-rest averaged over the classes for which it is defined, or None.

    With every class present this is scikit-learn's `multi_class="ovr", average="macro"`, which refuses any less.
    """
    classes = [1] if probabilities_NC.shape[1] == 2 else range(probabilities_NC.shape[1])
    areas = [
        float(roc_auc_score(labels_N == index, probabilities_NC[:, index]))
        for index in classes
        if 0 < (labels_N == index).sum() < len(labels_N)
    ]
    return math.fsum(areas) / len(areas) if areas else None


def _class_scores(per_class_4C: tuple[npt.NDArray[Any], ...], index: int) -> dict[str, float]:
    precision_C, recall_C, f1_C, support_C = per_class_4C
    return {
        "precision": float(precision_C[index]),
        "recall": float(recall_C[index]),
        "f1": float(f1_C[index]),
        "support": int(support_C[index]),
    }
