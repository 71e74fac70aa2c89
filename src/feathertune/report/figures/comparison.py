"""The pictures of a comparison: the methods with their intervals, and what their accuracy costs in time and size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

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

MARKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (AMBER, "v"), (SKY, "P"), (GREY, "X"), (BLACK, "*"))
UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
# round marks for an axis: 1, 2, 5, 10, ... of a unit, and seconds as clocks have them
BYTES: list[float] = [mark * scale for scale, _ in reversed(UNITS) for mark in (1, 2, 5, 10, 20, 50, 100, 200, 500)]
SECONDS: list[float] = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800]
SECONDS += [3600 * hours for hours in (1, 2, 5, 10, 20, 50, 100)]
APART = 0.2  # of the axis: marks closer than this would write into each other
MARGIN = 0.12  # of the axis, left of the cheapest and right of the dearest
NEAR = 0.03  # of the axis: methods closer than this would cover each other
BESIDE = 9  # points: how far from each other such methods are drawn

Methods = Sequence[Mapping[str, Any]]


def methods_figure(methods: Methods, split: str) -> Figure:
    """Each method's accuracy, a dot with its 95% interval, the best on top."""
    ranked = sorted(methods, key=lambda method: method["metrics"][split]["accuracy"]["value"])
    marks = _marks(methods)
    figure, axes = canvas((WIDTH, 0.75 + 0.3 * len(ranked)))
    for place, method in enumerate(ranked):
        found = method["metrics"][split]["accuracy"]
        interval = None if found["low"] is None else (found["low"], found["high"])
        interval_bar(axes, place, found["value"], interval, *marks[method["method"]])
    axes.set_yticks(range(len(ranked)), [_name(method) for method in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.margins(x=0.14)
    axes.set_xlabel(f"Accuracy on {split} (%)")
    finish(figure, axes, legend=False)
    axes.grid(visible=False, axis="y")
    return figure


def cost_figure(methods: Methods, split: str, cost: str) -> Figure:
    """Accuracy with its interval against `cost`, on a logarithmic scale; who has none of it is left out.

    Args:
        cost: one of COSTS.
    """
    title, written, ticks = COSTS[cost]
    figure, axes = canvas()
    marks = _marks(methods)
    axes.set_xscale("log")
    for (method, spent), sideways in zip(costing(methods, cost), steps_aside(methods, cost), strict=True):
        found = method["metrics"][split]["accuracy"]
        colour, marker = marks[method["method"]]
        lines = []
        if found["low"] is not None:
            ends = [100 * found["low"], 100 * found["high"]]
            lines += axes.plot([spent] * 2, ends, color=colour, linewidth=1.6, solid_capstyle="butt")
        lines += axes.plot(
            [spent],
            [100 * found["value"]],
            color=colour,
            marker=marker,
            markersize=7,
            linestyle="",
            label=_name(method),
        )
        for line in lines:  # only now: the axes' own limits come from the places as they are
            line.set_transform(axes.transData + ScaledTranslation(sideways / 72, 0, figure.dpi_scale_trans))
    low, high = _limits(methods, cost)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_spaced(ticks, low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{title}, logarithmic")
    axes.set_ylabel(f"Accuracy on {split} (%)")
    return finish(figure, axes)


def _spaced(ticks: Sequence[float], low: float, high: float) -> list[float]:
    """Of the marks between `low` and `high` as many as have room for what is written at them."""
    chosen: list[float] = []
    for tick in ticks:
        if low <= tick <= high and (not chosen or log(tick / chosen[-1]) >= APART * log(high / low)):
            chosen.append(tick)
    return chosen


def costing(methods: Methods, cost: str) -> list[tuple[Mapping[str, Any], float]]:
    """Those methods that have a positive `cost`, and how much; the artefact where what is deployed is not known."""
    found = []
    for method in methods:
        spent = method.get(cost)
        if spent is None and cost == "deployed_bytes":
            spent = method.get("artefact_bytes")
        if spent:
            found.append((method, float(spent)))
    return found


def steps_aside(methods: Methods, cost: str) -> list[float]:
    """For each of `costing`, how many points it is drawn beside its place: those of almost one cost stand abreast.

    An adapter is deployed with its base, so that several methods are of almost one size.
    """
    places = [log(spent) for _, spent in costing(methods, cost)]
    low, high = map(log, _limits(methods, cost))
    groups: list[list[int]] = []
    for index in sorted(range(len(places)), key=places.__getitem__):
        if groups and places[index] - places[groups[-1][-1]] < NEAR * (high - low):
            groups[-1].append(index)
        else:
            groups.append([index])
    aside = {index: BESIDE * (place - (len(group) - 1) / 2) for group in groups for place, index in enumerate(group)}
    return [aside[index] for index in range(len(places))]


def _limits(methods: Methods, cost: str) -> tuple[float, float]:
    """Where the axis begins and ends: all costs between, and two marks of COSTS or more, so that it can be read."""
    spent = [spent for _, spent in costing(methods, cost)]
    ticks, low, high = COSTS[cost][2], min(spent), max(spent)
    if sum(low <= tick <= high for tick in ticks) < 2:
        low = max((tick for tick in ticks if tick < low), default=low / 2)
        high = min((tick for tick in ticks if tick > high), default=2 * high)
    margin = (high / low) ** MARGIN
    return low / margin, high * margin


def size(count: float) -> str:
    """Bytes as people say them: '2.6 MiB'."""
    scale, unit = next(((scale, unit) for scale, unit in UNITS if count >= scale), UNITS[-1])
    return f"{count / scale:.3g} {unit}" if count < 1000 * scale else f"{count / scale:.0f} {unit}"


def duration_in_short(seconds: float) -> str:
    """For an axis: '3 s', '5 min', '2 h', or a fraction of a second."""
    if seconds < 1:
        return f"{seconds:g} s"
    return duration(seconds).replace(".0 s", " s").replace(" 0 s", "").replace(" 0 min", "")


# cost -> the axis' title, how a value is written, and where its marks may be
COSTS: dict[str, tuple[str, Callable[[float], str], list[float]]] = {
    "train_seconds": ("Training time", duration_in_short, SECONDS),
    "deployed_bytes": ("Size of all that has to be shipped", size, BYTES),
}


def _marks(methods: Methods) -> dict[str, tuple[str, str]]:
    """Each method's colour and marker, the same in all pictures."""
    return {method["method"]: MARKS[index % len(MARKS)] for index, method in enumerate(methods)}


def _name(method: Mapping[str, Any]) -> str:
    return drawable_name(str(method.get("name", method["method"])), 0)
