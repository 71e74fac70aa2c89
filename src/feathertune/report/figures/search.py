"""The figures of a search: the importance of settings, every trial as a line through its settings, and progress."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from feathertune.folders.search import Trial
from feathertune.report.figures.canvas import canvas, drawable_name, finish
from feathertune.report.figures.colours import (
    BLACK,
    BLUE,
    GREY,
    LIGHT_GREY,
    ORANGE,
)
from feathertune.report.figures.svg import WIDTH

MAX_BARS = 15
MAX_AXES = 8
MAX_TRIALS = 300  # more lines than these cannot be told apart
LOG_RANGE = 20.0  # a setting whose values differ by this factor gets a logarithmic axis


def importance_figure(importances: Mapping[str, float]) -> Figure:
    """A bar for each setting, the most important one on top."""
    ranked = sorted(importances.items(), key=lambda item: item[1])[-MAX_BARS:]
    figure, axes = canvas((WIDTH, 0.75 + 0.3 * len(ranked)))
    axes.barh(range(len(ranked)), [100 * share for _, share in ranked], height=0.55, color=BLUE)
    for place, (_, share) in enumerate(ranked):
        axes.annotate(f"{100 * share:.0f}", (100 * share, place), (5, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(ranked)), [drawable_name(name, place) for place, (name, _) in enumerate(ranked)])
    axes.margins(x=0.12)
    axes.set_xlabel("Share of the variation it explains (%)")
    finish(figure, axes, legend=False)
    axes.grid(visible=False, axis="y")
    return figure


def trials_figure(trials: Sequence[Trial], metric: str, *, larger_is_better: bool = True) -> Figure:
    """The value of each trial, and the best so far. `trials` are complete ones, in the order in which they began."""
    figure, axes = canvas()
    numbers = [trial.number for trial in trials]
    values = np.array([trial.value for trial in trials], dtype=np.float64)
    best = np.maximum.accumulate(values) if larger_is_better else np.minimum.accumulate(values)
    axes.plot(numbers, values, color=GREY, marker="o", markersize=4.5, linestyle="", label="trial")
    axes.step(numbers, best, color=BLUE, linewidth=1.6, where="post", label="best so far")
    axes.set_xlabel("Trial")
    axes.set_ylabel(drawable_name(metric, 0))
    return finish(figure, axes)


def parallel_figure(trials: Sequence[Trial], metric: str, best_tenth: int) -> Figure:
    """One axis for each setting and one for the value; a line for each trial: the best one orange, the best tenth blue.

    Args:
        trials: complete ones, best first.
        best_tenth: how many of them are drawn as the best tenth.
    """
    shown = trials[:MAX_TRIALS]
    names = list(dict.fromkeys(name for trial in shown for name in trial.params))[: MAX_AXES - 1]
    columns = [[trial.params.get(name) for trial in shown] for name in names]
    columns.append([trial.value for trial in shown])
    figure, axes = canvas((WIDTH, 3.3))
    heights = [_draw_axis(axes, place, column) for place, column in enumerate(columns)]
    for rank in reversed(range(len(shown))):
        colour, width = (ORANGE, 2.2) if rank == 0 else (BLUE, 1.1) if rank < best_tenth else (LIGHT_GREY, 0.7)
        line = [height[rank] for height in heights]
        axes.plot(range(len(line)), line, color=colour, linewidth=width, zorder=2 + (rank < best_tenth) + (rank == 0))
    titles = [drawable_name(name.rsplit(".", 1)[-1], 0).replace("_", "\n") for name in [*names, metric]]
    axes.set_xticks(range(len(titles)), titles, fontsize=8.5)
    axes.set_yticks([])
    axes.set_ylim(-0.08, 1.08)
    axes.set_xlim(-0.35, len(columns) - 0.65)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    return figure


def _draw_axis(axes: Axes, place: int, column: Sequence[object]) -> list[float]:
    """Draw a vertical axis with labelled ends. Returns the height (0 to 1) of each trial; NaN if it has no value."""
    axes.axvline(place, color=GREY, linewidth=0.8, zorder=1, ymin=0.07, ymax=0.93)
    numbers = [_as_number(value) for value in column]
    if all(number is not None or value is None for number, value in zip(numbers, column, strict=True)):
        return _number_heights(axes, place, numbers)
    kinds = sorted({str(value) for value in column if value is not None})
    heights = {kind: index / max(len(kinds) - 1, 1) for index, kind in enumerate(kinds)}
    for kind, height in heights.items():
        _label(axes, place, height, drawable_name(kind, 0), below=height == 0)
    return [math.nan if value is None else heights[str(value)] for value in column]


def _as_number(value: object) -> int | float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _number_heights(axes: Axes, place: int, numbers: Sequence[float | None]) -> list[float]:
    known = [number for number in numbers if number is not None]
    low, high = min(known), max(known)
    scale = math.log if low > 0 and high / low >= LOG_RANGE else float
    _label(axes, place, 0, f"{low:.3g}", below=True)
    _label(axes, place, 1, f"{high:.3g}")
    width = scale(high) - scale(low)
    return [
        math.nan if number is None else (scale(number) - scale(low)) / width if width else 0.5 for number in numbers
    ]


def _label(axes: Axes, place: int, height: float, text: str, *, below: bool = False) -> None:
    axes.annotate(
        text,
        (place, height),
        (0, -10 if below else 6),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
        color=BLACK,
    )
