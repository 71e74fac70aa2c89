"""The figures of a comparison: the methods with their intervals, and accuracy against training time and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from feathertune.folders.comparison import MethodResult
from feathertune.report.figures.canvas import canvas, drawable_name, finish
from feathertune.report.figures.colours import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
)
from feathertune.report.figures.curves import interval_bar
from feathertune.report.figures.svg import WIDTH
from feathertune.wording.duration import duration
from feathertune.wording.size import UNITS, size

MARKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (AMBER, "v"), (SKY, "P"), (GREY, "X"), (BLACK, "*"))
# round ticks for an axis: 1, 2, 5, 10, ... of a unit, and seconds, minutes and hours as on a clock
BYTES: list[float] = [tick * scale for scale, _ in reversed(UNITS) for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500)]
SECONDS: list[float] = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800]
SECONDS += [3600 * hours for hours in (1, 2, 5, 10, 20, 50, 100)]
APART = 0.2  # of the axis: the labels of ticks closer than this would overlap
MARGIN = 0.12  # of the axis, on either side of the methods
NEAR = 0.03  # of the axis: methods closer than this would cover each other
STEP = 9  # points: the distance at which such methods are drawn

Methods = Sequence[MethodResult]
Cost = Literal["train_seconds", "deployed_bytes"]


def methods_figure(methods: Methods, split: str) -> Figure:
    """Each method's accuracy, a dot with its 95% interval, the best one on top."""
    ranked = sorted(methods, key=lambda method: _accuracy(method, split))
    marks = _marks(methods)
    figure, axes = canvas((WIDTH, 0.75 + 0.3 * len(ranked)))
    for place, method in enumerate(ranked):
        interval = method.metrics[split]["accuracy"].interval
        interval_bar(axes, place, _accuracy(method, split), interval, *marks[method.method])
    axes.set_yticks(range(len(ranked)), [_name(method) for method in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.margins(x=0.14)
    axes.set_xlabel(f"Accuracy on {split} (%)")
    finish(figure, axes, legend=False)
    axes.grid(visible=False, axis="y")
    return figure


def cost_figure(methods: Methods, split: str, cost: Cost) -> Figure:
    """Accuracy with its interval against `cost`, on a logarithmic scale. Methods without that cost are left out."""
    title, written, ticks = COSTS[cost]
    figure, axes = canvas()
    marks = _marks(methods)
    axes.set_xscale("log")
    for (method, spent), sideways in zip(costing(methods, cost), steps_aside(methods, cost), strict=True):
        interval = method.metrics[split]["accuracy"].interval
        colour, marker = marks[method.method]
        lines = []
        if interval is not None:
            ends = [100 * end for end in interval]
            lines += axes.plot([spent] * 2, ends, color=colour, linewidth=1.6, solid_capstyle="butt")
        lines += axes.plot(
            [spent],
            [100 * _accuracy(method, split)],
            color=colour,
            marker=marker,
            markersize=7,
            linestyle="",
            label=_name(method),
        )
        for line in lines:  # after plotting, so that the limits of the axes follow from the true values
            line.set_transform(axes.transData + ScaledTranslation(sideways / 72, 0, figure.dpi_scale_trans))
    low, high = _limits(methods, cost)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_spaced(ticks, low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{title} (log scale)")
    axes.set_ylabel(f"Accuracy on {split} (%)")
    return finish(figure, axes)


def _spaced(ticks: Sequence[float], low: float, high: float) -> list[float]:
    """The ticks between `low` and `high`, as many as have room for their labels."""
    chosen: list[float] = []
    for tick in ticks:
        if low <= tick <= high and (not chosen or log(tick / chosen[-1]) >= APART * log(high / low)):
            chosen.append(tick)
    return chosen


def costing(methods: Methods, cost: Cost) -> list[tuple[MethodResult, float]]:
    """The methods with a positive `cost`, and the cost: the size of the artefact if the deployed size is not known."""
    result = []
    for method in methods:
        spent: float | None = method.train_seconds
        if cost == "deployed_bytes":
            spent = method.artefact_bytes if method.deployed_bytes is None else method.deployed_bytes
        if spent:
            result.append((method, float(spent)))
    return result


def steps_aside(methods: Methods, cost: Cost) -> list[float]:
    """For each method of `costing`, how many points right of its true value it is drawn.

    Methods with almost the same cost are drawn side by side: an adapter is deployed with its base, so that several
    methods have almost the same size.
    """
    places = [log(spent) for _, spent in costing(methods, cost)]
    low, high = map(log, _limits(methods, cost))
    groups: list[list[int]] = []
    for index in sorted(range(len(places)), key=places.__getitem__):
        if groups and places[index] - places[groups[-1][-1]] < NEAR * (high - low):
            groups[-1].append(index)
        else:
            groups.append([index])
    aside = {index: STEP * (place - (len(group) - 1) / 2) for group in groups for place, index in enumerate(group)}
    return [aside[index] for index in range(len(places))]


def _limits(methods: Methods, cost: Cost) -> tuple[float, float]:
    """The ends of the axis: all costs lie between them, and at least two ticks of COSTS, so that it can be read."""
    spent = [spent for _, spent in costing(methods, cost)]
    ticks, low, high = COSTS[cost][2], min(spent), max(spent)
    if sum(low <= tick <= high for tick in ticks) < 2:
        low = max((tick for tick in ticks if tick < low), default=low / 2)
        high = min((tick for tick in ticks if tick > high), default=2 * high)
    margin = (high / low) ** MARGIN
    return low / margin, high * margin


def duration_in_short(seconds: float) -> str:
    """For an axis: '3 s', '5 min', '2 h', or a fraction of a second."""
    if seconds < 1:
        return f"{seconds:g} s"
    return duration(seconds).replace(".0 s", " s").replace(" 0 s", "").replace(" 0 min", "")


# cost -> the title of the axis, how a value is written, and possible ticks
COSTS: dict[Cost, tuple[str, Callable[[float], str], list[float]]] = {
    "train_seconds": ("Training time", duration_in_short, SECONDS),
    "deployed_bytes": ("Deployed size", size, BYTES),
}


def _marks(methods: Methods) -> dict[str, tuple[str, str]]:
    """The colour and marker of each method, the same in all figures."""
    return {method.method: MARKS[index % len(MARKS)] for index, method in enumerate(methods)}


def _accuracy(method: MethodResult, split: str) -> float:
    return method.metrics[split]["accuracy"].value or 0.0


def _name(method: MethodResult) -> str:
    return drawable_name(method.title, 0)
