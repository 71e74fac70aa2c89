"""The pictures of one split's answers: accuracy with intervals, ROC, precision and recall, reliability."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from feathertune.prediction.predictions import Predictions
from feathertune.report.figures.canvas import canvas, drawable_name, finish
from feathertune.report.figures.colours import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
)
from feathertune.report.figures.svg import WIDTH
from feathertune.stats.reliability import ReliabilityBin

MAX_POINTS = 400  # of a curve: more cannot be seen
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
    "ptq": "rounded",
    "after": "after training",
}


def _title(stage: str, stages: Collection[str]) -> str:
    """The stage's name; a run that only rounds has `float` but no `ptq`, and its last stage is no training."""
    return "rounded" if stage == "after" and "float" in stages and "ptq" not in stages else STAGES[stage]


def accuracy_figure(stages: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The accuracy at each stage, a dot with its 95% interval, on one line each; the majority class is a line.

    Args:
        stages: of `STAGES`, what is there: the metrics of one split.
    """
    shown = [stage for stage in STAGES if stage in stages and stage != "majority"]
    figure, axes = canvas((WIDTH, 0.75 + 0.3 * len(shown)))
    for place, stage in enumerate(reversed(shown)):
        colour = BLUE if stage == "after" else GREY
        metrics = stages[stage]
        interval_bar(axes, place, metrics["accuracy"], metrics.get("intervals", {}).get("accuracy"), colour)
    if "majority" in stages:
        axes.axvline(100 * stages["majority"]["accuracy"], color=ORANGE, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
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
    """A dot at `value` (a share, drawn in percent) at the height `place`, with its interval and its number."""
    if interval is not None:
        axes.plot([100 * end for end in interval], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot([100 * value], [place], color=colour, marker=marker, markersize=6.5, zorder=3)
    end = 100 * (value if interval is None else interval[1])
    axes.annotate(f"{100 * value:.1f}", (end, place), (6, 0), textcoords="offset points", va="center", fontsize=10)


def roc_figure(stages: Mapping[str, Predictions]) -> Figure:
    """The share of negatives called positive against the share of positives found, for each stage or class."""
    figure, axes = canvas()
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.9, label="guessing")
    for curve in _curves(stages):
        false_positive_P, true_positive_P, _ = roc_curve(curve.positive_N, curve.score_N)
        _draw(axes, curve, false_positive_P, true_positive_P)
    _square(axes, "Negatives called positive (%)", "Positives found (%)")
    return finish(figure, axes)


def precision_recall_figure(stages: Mapping[str, Predictions]) -> Figure:
    """The share of positives found against the share of answers 'positive' that are right."""
    figure, axes = canvas()
    for curve in _curves(stages):
        # its first points, with a threshold that few examples reach, jump between 0 and 1
        precision_P, recall_P, _ = precision_recall_curve(curve.positive_N, curve.score_N)
        _draw(axes, curve, recall_P, precision_P)
    _square(axes, "Recall (%)", "Precision (%)")
    return finish(figure, axes)


def has_curves(answers: Predictions) -> bool:
    """Whether some class has examples on both sides, so that there is something to draw."""
    return any(0 < (answers.labels == index).sum() < len(answers) for index in range(len(answers.label_names)))


class _Curve(NamedTuple):
    """What a curve is drawn from: for N examples whether each is positive and its score; and how."""

    label: str
    positive_N: npt.NDArray[np.bool_]
    score_N: npt.NDArray[np.float64]
    line: tuple[str, Any]


def _curves(stages: Mapping[str, Predictions]) -> list[_Curve]:
    """Of two classes the positive one at each stage; of more the most frequent, each against the rest, after."""
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
    """A curve of P shares, in percent; of its points as many as can be seen."""
    kept = _few(len(across_P))
    colour, dashes = curve.line
    axes.plot(100 * across_P[kept], 100 * up_P[kept], color=colour, ls=dashes, lw=1.6, label=curve.label)


def _few(count: int) -> npt.NDArray[np.int64]:
    """Indices of at most MAX_POINTS of `count` points, the first and the last among them."""
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
    """What was claimed against what came true, with 95% intervals; a dot's area grows with its examples.

    Args:
        positive: the class whose probability is claimed, where there are two; else it is the likeliest class's.
    """
    figure, axes = canvas()
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.9, label="as claimed")
    most = max(one.count for one in bins)
    claimed = np.array([100 * one.claimed for one in bins])
    observed = np.array([100 * one.observed for one in bins])
    axes.vlines(claimed, [100 * one.low for one in bins], [100 * one.high for one in bins], color=BLUE, linewidth=1.1)
    axes.plot(claimed, observed, color=BLUE, linewidth=0.8, label="what came true, with 95% intervals")
    axes.scatter(claimed, observed, s=[10 + 60 * one.count / most for one in bins], color=BLUE, zorder=3)
    of = "the answer" if positive is None else drawable_name(positive, 1)
    _square(axes, f"Probability given to {of} (%)", "Share that is so (%)")
    return finish(figure, axes)
