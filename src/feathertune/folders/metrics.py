"""The metrics of a split at a stage of a run: evaluation/*.json, and the parts of summary.json."""

from __future__ import annotations

from typing import Literal

from feathertune.folders.record import Part, Record

Interval = tuple[float, float]


class ClassScores(Part):
    """One class: precision, recall, F1 and `support`, its number of examples."""

    precision: float
    recall: float
    f1: float
    support: int


class CrossFittedMetrics(Part):
    """Metrics with temperature and threshold cross-fitted: each half of the examples uses those chosen on the other."""

    loss: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    ece: float
    intervals: dict[str, Interval | None] = {}


class Metrics(Record):
    """The metrics of one split. Rates are shares of 1.

    Attributes:
        split: the split's name.
        num_examples: N.
        loss: mean cross-entropy in nats.
        accuracy: share of correct predictions.
        precision, recall, f1: of the positive class (`averaging` binary) or the mean over the classes that occur in
            truth or predictions (macro).
        roc_auc: of the positive class, or the mean over the classes, each against the rest, that have examples on
            both sides; None where only one class is present.
        ece: expected calibration error (see `stats.calibration`), a difference of shares.
        temperature: the logits were divided by it; 1 is the model as it is.
        threshold: the positive class is predicted where its probability >= this; None for more than two classes.
        averaging: binary or macro.
        absent_classes: how many of the C classes occur in neither, and so are left out of the macro averages. 0 in
            files of earlier versions, which counted such classes as 0.
        positive_label: the last name where there are two, else None.
        per_class: label name -> its scores.
        confusion_matrix: C rows (true) of C columns (predicted), counts.
        label_names: C names, the order of `confusion_matrix`.
        intervals: metric -> (low, high) at 95%, None where undefined; empty where none were computed.
        cross_fitted: if temperature or threshold were chosen on this very split, the metrics without that advantage;
            None if nothing was chosen on it.
    """

    split: str
    num_examples: int
    loss: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float | None
    ece: float | None = None
    temperature: float = 1.0
    threshold: float | None = None
    averaging: Literal["binary", "macro"]
    absent_classes: int = 0
    positive_label: str | None
    per_class: dict[str, ClassScores]
    confusion_matrix: tuple[tuple[int, ...], ...]
    label_names: tuple[str, ...]
    intervals: dict[str, Interval | None] = {}
    cross_fitted: CrossFittedMetrics | None = None

    def value(self, name: str) -> float | None:
        """One of the metrics by its name, such as `f1`."""
        value: float | None = getattr(self, name)
        return value

    def interval(self, name: str) -> Interval | None:
        """The 95% interval of a metric, or None if there is none."""
        return self.intervals.get(name)

    def prefer_cross_fitted(self) -> Metrics:
        """The metrics, with cross-fitted values for those that a choice on these very examples has biased."""
        if self.cross_fitted is None:
            return self
        own = {name: getattr(self.cross_fitted, name) for name in CrossFittedMetrics.model_fields}
        return self.model_copy(update=own)

    def occurs(self, label: str) -> bool:
        """Whether a class occurs in truth or predictions: one that does not has no scores."""
        index = self.label_names.index(label)
        return sum(self.confusion_matrix[index]) + sum(row[index] for row in self.confusion_matrix) > 0

    @property
    def majority_label(self) -> str:
        """The label that was predicted most often; a majority baseline predicts no other."""
        totals = [sum(column) for column in zip(*self.confusion_matrix, strict=True)]
        return self.label_names[totals.index(max(totals))]
