"""The figures of `inspect data`: how long texts are, and how often each label occurs, for each split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from feathertune.report.figures.canvas import canvas, drawable_name, finish
from feathertune.report.figures.colours import BLUE, GREEN, GREY, ORANGE, PURPLE

_COLOURS, _DASHES = (BLUE, ORANGE, GREEN, PURPLE), ((), (5, 2), (2, 1.5), (6, 2, 1, 2))
_BINS = 40
_MAX_LABELS = 20


def text_lengths_figure(lengths: Mapping[str, npt.NDArray[np.int64]], unit: str, limit: int | None = None) -> Figure:
    """The share of texts of each length.

    Args:
        lengths: split -> [N] length of each text.
        unit: what is counted, for the axis: 'characters', 'tokens'.
        limit: where longer texts are cut, if it is in the figure.
    """
    figure, axes = canvas()
    every = np.concatenate(list(lengths.values()))
    low, high = int(every.min()), max(int(np.quantile(every, 0.995)), int(every.min()) + 1)
    edges = np.unique(np.linspace(low, high + 1, min(_BINS, high + 1 - low) + 1).round())
    for index, (name, length_N) in enumerate(lengths.items()):
        counts = np.histogram(np.minimum(length_N, high), edges)[0]
        axes.stairs(100 * counts / len(length_N), edges, color=_COLOURS[index % 4], linewidth=1.6, label=name)
        axes.patches[-1].set_linestyle((0, _DASHES[index % 4]) if _DASHES[index % 4] else "-")
    if limit is not None and low < limit <= high:
        axes.axvline(limit + 0.5, color=GREY, linewidth=1, label=f"cut at {limit}")
    beyond = " (the longest 0.5% in the last bar)" if int(every.max()) > high else ""
    axes.set_xlabel(f"Length of the text in {unit}{beyond}")
    axes.set_ylabel("Texts (%)")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", integer=True)
    return finish(figure, axes, columns=4)


def label_shares_figure(labels: Mapping[str, Mapping[str, int]]) -> Figure:
    """The share of each label in each split (split -> label -> examples); of many labels, the most frequent."""
    totals = {name: sum(split.get(name, 0) for split in labels.values()) for split in labels.values() for name in split}
    shown = sorted(totals, key=lambda name: -totals[name])[:_MAX_LABELS] if len(totals) > _MAX_LABELS else list(totals)
    figure, axes = canvas((6.0, max(2.4, 0.8 + 0.34 * len(shown))))
    at = np.arange(len(shown), dtype=np.float64)
    height = 0.8 / len(labels)
    for index, (name, counts) in enumerate(labels.items()):
        shares = [100 * counts.get(label, 0) / max(sum(counts.values()), 1) for label in shown]
        offset = (index - (len(labels) - 1) / 2) * height
        axes.barh(at + offset, shares, height * 0.9, color=_COLOURS[index % 4], label=name)
    order = list(totals)
    axes.set_yticks(at, [drawable_name(label, order.index(label)) for label in shown])
    axes.invert_yaxis()
    more = f", the {len(shown)} most frequent of {len(totals):,} labels" if len(totals) > len(shown) else ""
    axes.set_xlabel(f"Texts (%){more}")
    return finish(figure, axes, columns=4)
