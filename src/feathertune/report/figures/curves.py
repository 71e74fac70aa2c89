"""The figures of the predictions for one split: accuracy with intervals, ROC, precision-recall, reliability."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from feathertune.folders.metrics import Metrics
from feathertune.prediction.predictions import Predictions
from feathertune.report.figures.canvas import canvas, drawable_name, finish
from feathertune.report.figures.colours import AMBER, BLUE, GREEN, GREY, ORANGE, PURPLE
from feathertune.report.figures.svg import WIDTH
from feathertune.stats.reliability import ReliabilityBin

MAX_POINTS = 400  # of a curve: the eye sees no more
LINES: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (ORANGE, (0, (5, 2))),
    (GREEN, (0, (1, 1.2))),
    (PURPLE, (0, (5, 1.5, 1, 1.5))),
    (AMBER, (0, (3, 1))),
)
STAGES = {
    "majority": "majority class",
    "before": "before training",
    "float": "float32",
    "ptq": "PTQ",
    "after": "after training",
}


def _title(stage: str, stages: Collection[str]) -> str:
    """The stage's title. In a run with `float` but no `ptq`, the last stage is PTQ and not a training."""
    return STAGES["ptq"] if stage == "after" and "float" in stages and "ptq" not in stages else STAGES[stage]


def accuracy_figure(stages: Mapping[str, Metrics]) -> Figure:
    """The accuracy at each stage, a dot with its 95% interval; the majority class is a vertical line.

    Args:
        stages: stage -> metrics of one split; the stages are some of `STAGES`.
    """
    shown = [stage for stage in STAGES if stage in stages and stage != "majority"]
    figure, axes = canvas((WIDTH, 0.75 + 0.3 * len(shown)))
    for place, stage in enumerate(reversed(shown)):
        colour = BLUE if stage == "after" else GREY
        metrics = stages[stage]
        interval_bar(axes, place, metrics.accuracy, metrics.interval("accuracy"), colour)
    if "majority" in stages:
        axes.axvline(100 * stages["majority"].accuracy, color=ORANGE, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
    axes.set_yticks(range(len(shown)), [_title(stage, stages) for stage in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.margins(x=0.12)
    axes.set_xlabel("Accuracy (%); dashed: the majority class" if "majority" in stages else "Accuracy (%)")
    finish(figure, axes, legend=False)
    axes.grid(visible=False, axis="y")
    return figure


def interval_bar(
    axes: Axes, place: float, value: float, interval: Sequence[float] | None, colour: str, marker: str = "o"
) -> None:
    """A dot at `value` (a share, drawn in percent) at the height `place`, with its interval and the number."""
    if interval is not None:
        axes.plot([100 * end for end in interval], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot([100 * value], [place], color=colour, marker=marker, markersize=6.5, zorder=3)
    end = 100 * (value if interval is None else interval[1])
    axes.annotate(f"{100 * value:.1f}", (end, place), (6, 0), textcoords="offset points", va="center", fontsize=10)


def roc_figure(stages: Mapping[str, Predictions]) -> Figure:
    """The true positive rate against the false positive rate, for each stage or class."""
    figure, axes = canvas()
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.9, label="chance")
    for curve in _curves(stages):
        false_positive_P, true_positive_P, _ = roc_curve(curve.positive_N, curve.score_N)
        _draw(axes, curve, false_positive_P, true_positive_P)
    _square(axes, "False positive rate (%)", "True positive rate (%)")
    return finish(figure, axes)


def precision_recall_figure(stages: Mapping[str, Predictions]) -> Figure:
    """Precision against recall, for each stage or class."""
    figure, axes = canvas()
    for curve in _curves(stages):
        # the points of the highest thresholds, which few examples reach, jump between 0 and 1
        precision_P, recall_P, _ = precision_recall_curve(curve.positive_N, curve.score_N)
        _draw(axes, curve, recall_P, precision_P)
    _square(axes, "Recall (%)", "Precision (%)")
    return finish(figure, axes)


def has_curves(predictions: Predictions) -> bool:
    """Whether some class has positive and negative examples; without both, the curves are undefined."""
    return any(
        0 < (predictions.labels == index).sum() < len(predictions) for index in range(len(predictions.label_names))
    )


class _Curve(NamedTuple):
    """A curve to draw: for each of N examples whether it is positive, and its score; colour and dashes."""

    label: str
    positive_N: npt.NDArray[np.bool_]
    score_N: npt.NDArray[np.float64]
    line: tuple[str, Any]


def _curves(stages: Mapping[str, Predictions]) -> list[_Curve]:
    """Of two classes, the positive one at each stage; of more, the most frequent ones after, each against the rest."""
    after = stages["after"]
    if len(after.label_names) == 2:
        lines = {"before": (GREY, (0, (5, 2))), "float": (GREEN, (0, (1, 1.2))), "after": (BLUE, "-")}
        return [
            _Curve(_title(stage, stages), stages[stage].labels == 1, stages[stage].probabilities_NC[:, 1], line)
            for stage, line in lines.items()
            if stage in stages
        ]
    counts = np.bincount(after.labels, minlength=len(after.label_names))
    frequent = [int(index) for index in np.argsort(-counts, kind="stable") if 0 < counts[index] < len(after)]
    return [
        _Curve(
            drawable_name(after.label_names[index], index),
            after.labels == index,
            after.probabilities_NC[:, index],
            line,
        )
        for index, line in zip(frequent, LINES, strict=False)
    ]


def _draw(axes: Axes, curve: _Curve, across_P: npt.NDArray[np.float64], up_P: npt.NDArray[np.float64]) -> None:
    """Draw a curve of P points, given as shares, in percent."""
    kept = _few(len(across_P))
    colour, dashes = curve.line
    axes.plot(100 * across_P[kept], 100 * up_P[kept], color=colour, ls=dashes, lw=1.6, label=curve.label)


def _few(count: int) -> npt.NDArray[np.int64]:
    """Indices of at most MAX_POINTS of `count` points, including the first and the last."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).round().astype(np.int64))


def _square(axes: Axes, across: str, up: str) -> None:
    """Both axes from 0 to 100%."""
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    axes.xaxis.set_major_locator(MultipleLocator(20))
    axes.yaxis.set_major_locator(MultipleLocator(20))
    axes.set_xlabel(across)
    axes.set_ylabel(up)


def reliability_figure(bins: Sequence[ReliabilityBin], positive: str | None) -> Figure:
    """Observed frequency against predicted probability, with 95% intervals; the area of a dot grows with its examples.

    Args:
        positive: of two classes, the one whose probability is drawn; None for more, whose highest one is drawn.
    """
    figure, axes = canvas()
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.9, label="perfect calibration")
    most = max(one.count for one in bins)
    claimed = np.array([100 * one.claimed for one in bins])
    observed = np.array([100 * one.observed for one in bins])
    axes.vlines(claimed, [100 * one.low for one in bins], [100 * one.high for one in bins], color=BLUE, linewidth=1.1)
    axes.plot(claimed, observed, color=BLUE, linewidth=0.8, label="observed, with 95% intervals")
    axes.scatter(claimed, observed, s=[10 + 60 * one.count / most for one in bins], color=BLUE, zorder=3)
    if positive is None:
        _square(axes, "Confidence (%)", "Accuracy (%)")
    else:
        _square(axes, f"Predicted probability of {drawable_name(positive, 1)} (%)", "Observed frequency (%)")
    return finish(figure, axes)
