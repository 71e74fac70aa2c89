"""The pictures of where a model errs: accuracy by length and by rating, from errors-{split}.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from feathertune.report.figures.canvas import canvas, finish
from feathertune.report.figures.colours import BLUE, GREY, ORANGE

Groups = Sequence[Mapping[str, Any]]


def length_figure(groups: Groups, accuracy: float) -> Figure:
    """Accuracy with its interval in each group of lengths, beside that of all."""
    figure, axes = canvas()
    _draw_groups(axes, np.arange(len(groups), dtype=np.float64), groups)
    names = [_between(group["from_words"], group["to_words"]) for group in groups]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("Words in the text")
    return _finished(figure, axes, accuracy)


def rating_figure(groups: Groups, accuracy: float, ceiling: Mapping[str, Any] | None) -> Figure:
    """Accuracy with its interval at each rating, and the most that the raters' disagreement lets anyone expect."""
    figure, axes = canvas()
    middles = np.array([(group["from_rating"] + group["to_rating"]) / 2 for group in groups])
    _draw_groups(axes, middles, groups)
    if ceiling is not None:
        rated = ceiling["by_rating"]
        axes.plot(
            [one["rating"] for one in rated],
            [100 * one["best_possible"] for one in rated],
            color=ORANGE,
            linewidth=1.4,
            linestyle=(0, (5, 2)),
            marker="_",
            label="the raters' own limit",
        )
    axes.set_xlabel("Rating (share of raters who said yes)")
    return _finished(figure, axes, accuracy)


def _draw_groups(axes: Axes, at: Any, groups: Groups) -> None:
    axes.vlines(at, [100 * one["low"] for one in groups], [100 * one["high"] for one in groups], color=BLUE, lw=2)
    axes.plot(at, [100 * one["accuracy"] for one in groups], color=BLUE, marker="o", linestyle="", label="accuracy")


def _finished(figure: Figure, axes: Axes, accuracy: float) -> Figure:
    axes.axhline(100 * accuracy, color=GREY, linewidth=1, label="of all", zorder=1)
    axes.set_ylabel("Accuracy (%)")
    axes.set_ylim(top=min(axes.get_ylim()[1], 104))
    axes.margins(x=0.08)
    return finish(figure, axes)


def _between(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}\N{EN DASH}{high}"
