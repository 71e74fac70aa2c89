"""The figures of the error analysis: accuracy by length and by rating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from feathertune.folders.evaluation import CeilingRecord, GroupAccuracy, LengthGroup, RatingGroup
from feathertune.report.figures.canvas import canvas, finish
from feathertune.report.figures.colours import BLUE, GREY, ORANGE


def length_figure(groups: Sequence[LengthGroup], accuracy: float) -> Figure:
    """The accuracy of each group of lengths with its interval, and the overall accuracy."""
    figure, axes = canvas()
    _draw_groups(axes, np.arange(len(groups), dtype=np.float64), groups)
    names = [_between(group.from_words, group.to_words) for group in groups]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("Length of the text (words)")
    return _finished(figure, axes, accuracy)


def rating_figure(groups: Sequence[RatingGroup], accuracy: float, ceiling: CeilingRecord | None) -> Figure:
    """The accuracy at each rating with its interval, and the highest one that the raters' disagreement allows."""
    figure, axes = canvas()
    middles = np.array([(group.from_rating + group.to_rating) / 2 for group in groups])
    _draw_groups(axes, middles, groups)
    if ceiling is not None:
        rated = ceiling.by_rating
        axes.plot(
            [one.rating for one in rated],
            [100 * one.best_possible for one in rated],
            color=ORANGE,
            linewidth=1.4,
            linestyle=(0, (5, 2)),
            marker="_",
            label="limit by rater disagreement",
        )
    axes.set_xlabel("Rating" if ceiling is None else "Rating (share of positive votes)")
    return _finished(figure, axes, accuracy)


def _draw_groups(axes: Axes, at: Any, groups: Sequence[GroupAccuracy]) -> None:
    axes.vlines(at, [100 * one.low for one in groups], [100 * one.high for one in groups], color=BLUE, lw=2)
    axes.plot(at, [100 * one.accuracy for one in groups], color=BLUE, marker="o", linestyle="", label="accuracy")


def _finished(figure: Figure, axes: Axes, accuracy: float) -> Figure:
    axes.axhline(100 * accuracy, color=GREY, linewidth=1, label="overall", zorder=1)
    axes.set_ylabel("Accuracy (%)")
    axes.set_ylim(top=min(axes.get_ylim()[1], 104))
    axes.margins(x=0.08)
    return finish(figure, axes)


def _between(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}\N{EN DASH}{high}"
