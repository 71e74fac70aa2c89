"""The figures of a training: losses, metrics by epoch, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from feathertune.report.figures.canvas import DPI, canvas, drawable_name, finish
from feathertune.report.figures.colours import BLACK, BLUE, DARK_GREY, GREEN, GREY, LIGHT_GREY, ORANGE
from feathertune.report.history import Epoch, History, Step
from feathertune.wording.metrics import TITLES

SPLIT = "validation"
# metric -> colour, dashes, marker
STYLES: dict[str, tuple[str, Any, str]] = {
    "accuracy": (BLACK, "-", "o"),
    "precision": (BLUE, (0, (5, 2)), "^"),
    "recall": (ORANGE, (0, (5, 1.5, 1, 1.5)), "s"),
    "f1": (GREEN, (0, (1, 1.2)), "D"),
}
MAX_MARKERS = 20
MIN_STEPS_TO_SMOOTH = 20  # fewer steps have a marker each instead
MAX_CLASSES_WITH_SHARES = 30


def loss_figure(history: History) -> Figure:
    """The loss in nats: of each step (light), smoothed, and on train and validation at the end of each epoch."""
    figure, axes = canvas()
    if history.steps:
        _draw_steps(axes, history.steps)
    _draw_epochs(axes, history.epochs, [epoch.train_loss for epoch in history.epochs], "train, epoch mean", BLUE, "s")
    validation = [epoch.validation.loss for epoch in history.epochs]
    _draw_epochs(axes, history.epochs, validation, SPLIT, ORANGE, "o", dashes=(0, (5, 2)))
    axes.set_ylabel("Cross-entropy loss (nats)")
    at = [*(step.epoch for step in history.steps), *(epoch.epoch for epoch in history.epochs)]
    return _by_epoch(figure, axes, min(at), max(at))


def metrics_figure(epochs: Sequence[Epoch], best_epoch: int | None, majority_accuracy: float | None) -> Figure:
    """Accuracy, precision, recall and F1 on validation by epoch, in percent; best epoch and baseline are marked."""
    figure, axes = canvas()
    for name, (colour, dashes, marker) in STYLES.items():
        values = [getattr(epoch.validation, name) for epoch in epochs]
        _draw_epochs(axes, epochs, values, TITLES[name], colour, marker, dashes=dashes)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=GREY, linewidth=5, alpha=0.3, zorder=0, label=f"best epoch ({best_epoch})")
    if majority_accuracy is not None:
        label = f"majority class, accuracy {majority_accuracy:.1%}"
        axes.axhline(majority_accuracy, color=GREY, linewidth=0.9, label=label, zorder=1)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    axes.set_ylabel(f"Metric on {SPLIT} (%)")
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.02))
    return _by_epoch(figure, axes, epochs[0].epoch, epochs[-1].epoch)


def confusion_figure(matrix: Sequence[Sequence[int]], label_names: Sequence[str]) -> Figure:
    """The counts of a [C, C] matrix, rows true and columns predicted, and their shares of the true class.

    The figure grows with the number of classes.
    """
    counts_CC = np.asarray(matrix, dtype=np.int64)
    count = len(label_names)
    many = count > MAX_CLASSES_WITH_SHARES
    cell, font_size = (0.32, 5.5) if many else (0.48, 7.0) if count > 6 else (0.95, 10.0)
    figure, axes, bar_axes = _square_canvas(max(2.2, cell * count))
    totals_C1 = counts_CC.sum(axis=1, keepdims=True)
    shares_CC = np.divide(counts_CC, totals_C1, out=np.zeros(counts_CC.shape), where=totals_C1 > 0)
    image = axes.imshow(shares_CC, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(counts_CC.shape):
        number, share = int(counts_CC[row, column]), float(shares_CC[row, column])
        # a zero needs no percentage, and thousands of cells have room for the count alone
        text = str(number) if many or number == 0 else f"{number}\n{_percent(share)}"
        colour = _readable_on(image.cmap(share))
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=font_size)
    title_size = max(10.0, 0.4 * cell * count + 7)  # grows with the picture
    _name_classes(axes, label_names, max(font_size, 7.0), title_size)
    figure.colorbar(image, cax=bar_axes, format=PercentFormatter(xmax=1, symbol=""))
    bar_axes.set_ylabel("Share of the true class (%)", fontsize=title_size)
    bar_axes.tick_params(labelsize=0.9 * title_size)
    return figure


def smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[S] -> [S]: a centred moving average over about a twentieth of the values, fewer at the ends; NaN is left out."""
    half = max(1, len(values) // 40)
    known = np.isfinite(values)
    sums = np.r_[0.0, np.cumsum(np.where(known, values, 0.0))]
    counts = np.r_[0, np.cumsum(known)]
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    count = counts[high] - counts[low]
    return np.asarray(np.divide(sums[high] - sums[low], count, out=np.full(len(values), np.nan), where=count > 0))


def _draw_steps(axes: Axes, steps: Sequence[Step]) -> None:
    at = np.array([step.epoch for step in steps])
    losses = np.array([step.loss for step in steps])
    losses[~np.isfinite(losses)] = np.nan  # a gap, for a run that diverged
    marker = "." if len(steps) < MIN_STEPS_TO_SMOOTH else ""  # a line through one point is invisible
    axes.plot(at, losses, color=LIGHT_GREY, linewidth=0.7, marker=marker, label="train, each step", zorder=1)
    if len(steps) >= MIN_STEPS_TO_SMOOTH:
        axes.plot(at, smooth(losses), color=DARK_GREY, linewidth=1.1, label="train, smoothed", zorder=2)


def _draw_epochs(
    axes: Axes,
    epochs: Sequence[Epoch],
    values: Sequence[float | None],
    label: str,
    colour: str,
    marker: str,
    *,
    dashes: Any = "-",
) -> None:
    """One line over the epochs, with at most about MAX_MARKERS markers; a missing value is a gap."""
    heights = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    heights[~np.isfinite(heights)] = np.nan
    if np.isnan(heights).all():
        return
    axes.plot(
        [epoch.epoch for epoch in epochs],
        heights,
        label=label,
        color=colour,
        linestyle=dashes,
        linewidth=1.5,
        marker=marker,
        markersize=4.5,
        markerfacecolor="white" if marker in "sD" else colour,
        markevery=max(1, len(epochs) // MAX_MARKERS),
        zorder=3,
    )


def _by_epoch(figure: Figure, axes: Axes, first_epoch: float, last_epoch: float) -> Figure:
    axes.set_xlabel("Epoch")
    margin = max(0.02 * last_epoch, 0.05 if first_epoch < last_epoch else 0.5)
    axes.set_xlim(first_epoch - margin, last_epoch + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return finish(figure, axes)


def _square_canvas(side: float) -> tuple[Figure, Axes, Axes]:
    """Axes of `side` x `side` inches and a colour bar next to them; `save_png` makes room for the labels."""
    figure = Figure(figsize=(side + 0.4, side), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, side / (side + 0.4), 1))
    return figure, axes, figure.add_axes(((side + 0.15) / (side + 0.4), 0, 0.15 / (side + 0.4), 1))


def _readable_on(colour: tuple[float, float, float, float]) -> str:
    """Black or white: the one with more contrast to `colour` (WCAG 2: equal at a luminance of 0.179)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return "black" if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.179 else "white"


def _name_classes(axes: Axes, label_names: Sequence[str], font_size: float, title_size: float) -> None:
    """Class names on both axes of a confusion matrix."""
    names = [drawable_name(name, index) for index, name in enumerate(label_names)]
    places = range(len(names))
    style: dict[str, Any] = {"fontsize": font_size}
    crowded = len(names) > 6 or max(map(len, names)) > 10
    axes.set_xticks(places, names, rotation=90 if crowded else 0, **style)
    axes.set_yticks(places, names, **style)
    axes.tick_params(length=0)
    axes.set_xlabel("Predicted class", fontsize=title_size)
    axes.set_ylabel("True class", fontsize=title_size)


def _percent(share: float) -> str:
    """A share in percent that is never rounded to 0% or 100%."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"
