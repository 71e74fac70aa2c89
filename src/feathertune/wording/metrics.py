"""What metrics are called."""

from __future__ import annotations

TITLES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "ece": "calibration error",
}
LOWER_IS_BETTER = ("loss", "ece")


def metric_title(name: str, positive_label: str | None, *, macro: bool) -> str:
    """The metric's name and what it is of: 'precision of POSITIVE', or 'precision (macro)' for many classes."""
    if name in ("precision", "recall", "f1"):
        return f"{TITLES[name]} of {positive_label}" if positive_label is not None else f"{TITLES[name]} (macro)"
    return f"{TITLES[name]} (macro)" if name == "roc_auc" and macro else TITLES[name]
