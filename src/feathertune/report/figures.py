"""The pictures of a run, made from its files: figures/loss.png, figures/metrics.png and figures/confusion.png.

They are meant for a paper: 200 dpi, labelled axes, a legend beside the data and not on it. Each line has its own
colour (Okabe & Ito's, safe for the colour-blind), its own dashes and its own marker, so that they read in grey.
Matplotlib's objects are used directly, with the Agg canvas: no display, no pyplot, no state shared between threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import MaxNLocator, PercentFormatter

from feathertune.files import atomic_path, read_json
from feathertune.report.history import Epoch, History, Step, read_history
from feathertune.run_folder import RunFolder

DPI = 200
SIZE = (6.0, 3.8)  # inches
SPLIT = "validation"
BLACK, BLUE, ORANGE, GREEN, GREY = "#000000", "#0072B2", "#D55E00", "#009E73", "#8C8C8C"
# metric -> name in the legend, colour, dashes, marker
STYLES: dict[str, tuple[str, str, Any, str]] = {
    "accuracy": ("accuracy", BLACK, "-", "o"),
    "precision": ("precision", BLUE, (0, (5, 2)), "^"),
    "recall": ("recall", ORANGE, (0, (5, 1.5, 1, 1.5)), "s"),
    "f1": ("F1", GREEN, (0, (1, 1.2)), "D"),
}
MOST_MARKERS = 20
FEW_STEPS = 20  # below, each step has a marker and there is nothing to smooth
MANY_CLASSES = 30
LONGEST_NAME = 24
# after Matplotlib's own DejaVu Sans; those that are installed lend the characters that it lacks
MORE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR",
    "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Noto Emoji", "Noto Sans Arabic", "Noto Sans Devanagari",
)  # fmt: skip


def write_figures(run: RunFolder, summary: Mapping[str, Any] | None = None) -> list[Path]:
    """Draw what the files of `run` have, and return the PNG files written, each atomically.

    Args:
        summary: the content of summary.json, where it is not written yet.

    Needs metrics.jsonl. Without an epoch there is no metrics.png; without an evaluation of validation after training
    there is no confusion.png; without summary.json the best epoch and the majority class are not marked.
    Raises UserError where a file is missing or damaged.
    """
    history = read_history(run.metrics)
    if summary is None:
        summary = read_json(run.summary) if run.summary.is_file() else {}
    evaluation = run.evaluation("after", SPLIT)
    figures: dict[str, Figure] = {}
    if history.steps or history.epochs:
        figures["loss"] = loss_figure(history)
    if history.epochs:
        majority = summary.get("majority", {}).get(SPLIT, {}).get("accuracy")
        figures["metrics"] = metrics_figure(history.epochs, summary.get("best_epoch"), majority)
    if evaluation.is_file():
        metrics = read_json(evaluation)
        figures["confusion"] = confusion_figure(metrics["confusion_matrix"], metrics["label_names"])
    return [_save(figure, run.figures / f"{name}.png") for name, figure in figures.items()]


def loss_figure(history: History) -> Figure:
    """Train loss of each step (light) and smoothed, and of train and validation at the end of each epoch, in nats."""
    figure, axes = _canvas(SIZE)
    if history.steps:
        _draw_steps(axes, history.steps)
    _draw_epochs(axes, history.epochs, [epoch.train_loss for epoch in history.epochs], "train, epoch mean", BLUE, "s")
    validation = [epoch.validation.loss for epoch in history.epochs]
    _draw_epochs(axes, history.epochs, validation, SPLIT, ORANGE, "o", dashes=(0, (5, 2)))
    axes.set_ylabel("Cross-entropy loss (nats)")
    at = [*(step.epoch for step in history.steps), *(epoch.epoch for epoch in history.epochs)]
    _finish(figure, axes, min(at), max(at))
    return figure


def metrics_figure(epochs: Sequence[Epoch], best_epoch: int | None, majority_accuracy: float | None) -> Figure:
    """Accuracy, precision, recall and F1 on validation by epoch, in percent; the best epoch and the baseline marked."""
    figure, axes = _canvas(SIZE)
    for name, (label, colour, dashes, marker) in STYLES.items():
        values = [getattr(epoch.validation, name) for epoch in epochs]
        _draw_epochs(axes, epochs, values, label, colour, marker, dashes=dashes)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=GREY, linewidth=5, alpha=0.3, zorder=0, label=f"best epoch ({best_epoch})")
    if majority_accuracy is not None:
        label = f"majority class, accuracy {majority_accuracy:.1%}"
        axes.axhline(majority_accuracy, color=GREY, linewidth=0.9, label=label, zorder=1)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    axes.set_ylabel(f"Score on {SPLIT} (%)")
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.02))
    _finish(figure, axes, epochs[0].epoch, epochs[-1].epoch)
    return figure


def confusion_figure(matrix: Sequence[Sequence[int]], label_names: Sequence[str]) -> Figure:
    """Counts and shares of the true class; [C, C], rows true, columns predicted. It grows with the classes."""
    counts_CC = np.asarray(matrix, dtype=np.int64)
    count = len(label_names)
    many = count > MANY_CLASSES
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


def drawable_name(name: str, index: int) -> str:
    """`name` on one line, shortened, with nothing that the fonts lack: 'class 3' where that leaves nothing of it."""
    line = " ".join(name.split())
    kept = "".join(character for character in line if ord(character) in _characters()).strip()
    if kept != line:
        kept = f"class {index} ({kept})" if kept else f"class {index}"
    return kept if len(kept) <= LONGEST_NAME else kept[: LONGEST_NAME - 1] + "…"


def smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[S] -> [S]: a centred mean over about a twentieth of the values, cut off at the ends; NaN is left out."""
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
    losses[~np.isfinite(losses)] = np.nan  # a run that diverged: a gap says so
    marker = "." if len(steps) < FEW_STEPS else ""  # a line through one point is invisible
    axes.plot(at, losses, color="#C9C9C9", linewidth=0.7, marker=marker, label="train, each step", zorder=1)
    if len(steps) >= FEW_STEPS:
        axes.plot(at, smooth(losses), color="#5A5A5A", linewidth=1.1, label="train, smoothed", zorder=2)


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
    """One line over the epochs, with at most about MOST_MARKERS markers; a missing value is a gap."""
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
        markevery=max(1, len(epochs) // MOST_MARKERS),
        zorder=3,
    )


def _canvas(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _square_canvas(side: float) -> tuple[Figure, Axes, Axes]:
    """Axes of `side` x `side` inches and a colour bar beside them; `_save` makes room for whatever is around them."""
    figure = Figure(figsize=(side + 0.4, side), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, side / (side + 0.4), 1))
    return figure, axes, figure.add_axes(((side + 0.15) / (side + 0.4), 0, 0.15 / (side + 0.4), 1))


def _readable_on(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever has the greater contrast with `colour` (WCAG 2: equal at a luminance of 0.179)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return "black" if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.179 else "white"


def _finish(figure: Figure, axes: Axes, first_epoch: float, last_epoch: float) -> None:
    """The epoch axis, the grid, and the legend above the axes, where it covers no data."""
    axes.set_xlabel("Epoch")
    margin = max(0.02 * last_epoch, 0.05 if first_epoch < last_epoch else 0.5)
    axes.set_xlim(first_epoch - margin, last_epoch + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9, handlelength=3)


def _name_classes(axes: Axes, label_names: Sequence[str], font_size: float, title_size: float) -> None:
    """Class names on both axes of a confusion matrix; '$' is a dollar and not a formula."""
    names = [drawable_name(name, index) for index, name in enumerate(label_names)]
    places = range(len(names))
    style: dict[str, Any] = {"fontsize": font_size, "fontfamily": list(_families()), "parse_math": False}
    crowded = len(names) > 6 or max(map(len, names)) > 10
    axes.set_xticks(places, names, rotation=90 if crowded else 0, **style)
    axes.set_yticks(places, names, **style)
    axes.tick_params(length=0)
    axes.set_xlabel("Predicted class", fontsize=title_size)
    axes.set_ylabel("True class", fontsize=title_size)


def _percent(share: float) -> str:
    """A share as a percentage that never rounds to a false 0% or 100%."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def _save(figure: Figure, path: Path) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.05)
    return path


@cache
def _families() -> tuple[str, ...]:
    """DejaVu Sans, which comes with Matplotlib, and those of MORE_FONTS that this machine has."""
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in MORE_FONTS if name in installed))


@cache
def _characters() -> frozenset[int]:
    """The code points that `_families` can draw."""
    paths = [font_manager.findfont(name, fallback_to_default=False) for name in _families()]
    return frozenset().union(*(FT2Font(path).get_charmap() for path in paths))
