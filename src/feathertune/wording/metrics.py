"""What metrics are called, and how their values are written in tables: the loss in nats, all others in percent."""

from __future__ import annotations

from feathertune.wording.numbers import DASH, percent

TITLES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "ece": "calibration error",
}
TABLE_TITLES = TITLES | {"loss": "loss (nats)"}
LOWER_IS_BETTER = ("loss", "ece")


def metric_title(name: str, positive_label: str | None, *, macro: bool) -> str:
    """The metric's name for a table: 'precision of POSITIVE', or 'precision (macro)' for more than two classes."""
    title = TABLE_TITLES[name]
    if name in ("precision", "recall", "f1"):
        return f"{title} of {positive_label}" if positive_label is not None else f"{title} (macro)"
    return f"{title} (macro)" if name == "roc_auc" and macro else title


def metric_value(name: str, value: float | None) -> str:
    """'0.4801' for a loss, '79.0%' for any other metric."""
    if name != "loss" or value is None:
        return percent(value)
    return f"{value:.4f}"


def metric_interval(name: str, interval: tuple[float, float] | None) -> str:
    """'0.3989 to 0.5780' for a loss, '74.3 to 83.0%' for any other metric."""
    if interval is None:
        return DASH
    low, high = interval
    return f"{low:.4f} to {high:.4f}" if name == "loss" else f"{100 * low:.1f} to {high:.1%}"


def metric_change(name: str, change: float | None) -> str:
    """'-0.2123' for a loss, '+25.5 pts' (percentage points) for any other metric."""
    if change is None:
        return DASH
    # + 0.0 turns '-0.0' into '+0.0'
    return f"{round(change, 4) + 0.0:+.4f}" if name == "loss" else f"{round(100 * change, 1) + 0.0:+.1f} pts"
