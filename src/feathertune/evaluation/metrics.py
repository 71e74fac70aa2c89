"""How good predictions are: `Predictions` -> `Metrics`, by scikit-learn, also for the trivial baseline to beat.

With two classes the last name is the positive one, and precision, recall and F1 are its own; with more classes they are
macro averages over the classes that occur in truth or predictions, which is scikit-learn's default (`labels=None`). A
class in neither has no scores: counted as 0, it would lower the average of a perfect model. A ratio without a
denominator is 0 (scikit-learn's `zero_division=0`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

from feathertune.baselines.majority import MajorityBaseline
from feathertune.folders.metrics import ClassScores, CrossFittedMetrics, Metrics
from feathertune.prediction.predictions import Predictions
from feathertune.stats.calibration_error import expected_calibration_error
from feathertune.stats.intervals import confidence_intervals

CROSS_FITTED = ("loss", "accuracy", "precision", "recall", "f1", "ece")


def compute_metrics(predictions: Predictions, *, intervals: bool = True, seed: int = 0) -> Metrics:
    """Every metric of `predictions`, with 95% intervals (see `stats.intervals`) drawn from `seed` if `intervals`.

    Raises ValueError where there are no examples, and where a logit is NaN or infinite (it names the row).
    """
    if len(predictions) == 0:
        raise ValueError(f"there are no examples in {predictions.split}")
    predictions.check_finite()
    labels_N, predicted_N, names = predictions.labels, predictions.predicted, predictions.label_names
    probabilities_NC = predictions.probabilities_NC
    classes = range(len(names))
    per_class_4C = precision_recall_fscore_support(labels_N, predicted_N, labels=classes, zero_division=0.0)
    matrix_CC = confusion_matrix(labels_N, predicted_N, labels=classes)
    binary = len(names) == 2
    counted_C = (matrix_CC.sum(axis=0) + matrix_CC.sum(axis=1)) > 0
    precision, recall, f1 = (float(scores[1] if binary else scores[counted_C].mean()) for scores in per_class_4C[:3])
    return Metrics(
        split=predictions.split,
        num_examples=len(predictions),
        # not scikit-learn's log_loss: it clips probabilities at 2e-16, which would hide losses above 36
        loss=float(predictions.losses.mean()),
        accuracy=float(accuracy_score(labels_N, predicted_N)),
        precision=precision,
        recall=recall,
        f1=f1,
        roc_auc=_roc_auc(labels_N, probabilities_NC),
        ece=expected_calibration_error(labels_N, probabilities_NC),
        temperature=predictions.decision.temperature,
        threshold=predictions.decision.threshold if binary else None,
        averaging="binary" if binary else "macro",
        positive_label=names[1] if binary else None,
        per_class={name: _class_scores(per_class_4C, index) for index, name in enumerate(names)},
        absent_classes=0 if binary else int((~counted_C).sum()),
        confusion_matrix=tuple(map(tuple, matrix_CC.tolist())),
        label_names=names,
        intervals=confidence_intervals(labels_N, predicted_N, probabilities_NC, seed=seed) if intervals else {},
        cross_fitted=_cross_fitted(predictions.cross_fitted, intervals=intervals, seed=seed),
    )


def majority_metrics(
    train_labels: npt.NDArray[np.int64], predictions: Predictions, *, intervals: bool = False
) -> Metrics:
    """The metrics of the majority class of `train_labels` ([M] int64), on the examples of `predictions`.

    The most frequent class is always predicted, with the training frequencies as probabilities, so the loss is that of
    the best constant prediction. A class that does not occur in training has probability 0: each of its examples costs
    708 nats (see `Predictions.losses`). Raises ValueError where there are no training labels.
    """
    baseline = MajorityBaseline.fit(train_labels, predictions.label_names)
    constant = Predictions.from_probabilities(
        split=predictions.split,
        label_names=predictions.label_names,
        rows=predictions.rows,
        texts=predictions.texts,
        labels=predictions.labels,
        ratings=predictions.ratings,
        probabilities_NC=baseline.probabilities(predictions.texts),
    )
    return compute_metrics(constant, intervals=intervals)


def _cross_fitted(predictions: Predictions | None, *, intervals: bool, seed: int) -> CrossFittedMetrics | None:
    if predictions is None:
        return None
    metrics = compute_metrics(predictions, intervals=intervals, seed=seed)
    kept = {name: pair for name, pair in metrics.intervals.items() if name in CROSS_FITTED}
    return CrossFittedMetrics(**{name: getattr(metrics, name) for name in CROSS_FITTED}, intervals=kept)


def _roc_auc(labels_N: npt.NDArray[np.int64], probabilities_NC: npt.NDArray[np.float64]) -> float | None:
    """ROC AUC of the positive class, or one-vs-rest averaged over the classes for which it is defined, or None.

    With every class present this is scikit-learn's `multi_class="ovr", average="macro"`, which accepts nothing less.
    """
    classes = [1] if probabilities_NC.shape[1] == 2 else range(probabilities_NC.shape[1])
    areas = [
        float(roc_auc_score(labels_N == index, probabilities_NC[:, index]))
        for index in classes
        if 0 < (labels_N == index).sum() < len(labels_N)
    ]
    return math.fsum(areas) / len(areas) if areas else None


def _class_scores(per_class_4C: tuple[npt.NDArray[Any], ...], index: int) -> ClassScores:
    precision_C, recall_C, f1_C, support_C = per_class_4C
    return ClassScores(
        precision=float(precision_C[index]),
        recall=float(recall_C[index]),
        f1=float(f1_C[index]),
        support=int(support_C[index]),
    )
