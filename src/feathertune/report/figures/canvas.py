"""What all figures share: size, type, grid and legend, the PNG file, names that the fonts can draw.

The figures are fit for print: 200 dpi, labelled axes, a legend that covers no data. Lines differ in dashes and markers
too, and so can be told apart without colour. Matplotlib's objects are used directly, with the Agg canvas: no display
and no pyplot.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from feathertune.report.figures.colours import HAIRLINE
from feathertune.system.files import atomic_path

DPI = 200
SIZE = (6.0, 3.8)  # inches
MAX_NAME = 24
# for characters that Matplotlib's own DejaVu Sans lacks; those that are installed are used
MORE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR",
    "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Noto Emoji", "Noto Sans Arabic", "Noto Sans Devanagari",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A figure, the name of its file, and its caption."""

    name: str
    figure: Figure
    caption: str


def canvas(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """A figure of `size` inches with a single pair of axes."""
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def finish(figure: Figure, axes: Axes, *, legend: bool = True, columns: int = 3) -> Figure:
    """Draw the grid behind the data, and the legend above the axes."""
    axes.grid(visible=True, color=HAIRLINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if legend:
        figure.legend(loc="outside upper center", ncols=columns, frameon=False, fontsize=9, handlelength=3)
    return figure


def plain(figure: Figure) -> Figure:
    """Set all texts in fonts that have their characters, and none as a formula: '$' is a dollar sign."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_fontfamily(list(families()))
    return figure


def save_png(figure: Figure, path: Path) -> Path:
    """Write the figure to `path` atomically."""
    plain(figure)
    with atomic_path(path) as temporary:
        tight: dict[str, Any] = {} if figure.get_layout_engine() else {"bbox_inches": "tight", "pad_inches": 0.05}
        figure.savefig(temporary, format="png", dpi=DPI, **tight)
    return path


def drawable_name(name: str, index: int) -> str:
    """`name` on one line, shortened, without characters that the fonts lack: 'class 3' if nothing remains."""
    line = " ".join(name.split())
    kept = "".join(character for character in line if _drawable(character)).strip()
    if kept != line:
        kept = f"class {index} ({kept})" if kept else f"class {index}"
    return kept if len(kept) <= MAX_NAME else kept[: MAX_NAME - 1] + "…"


def _drawable(character: str) -> bool:
    """Whether the fonts have the character, and it is no control character, such as a mark of direction."""
    return ord(character) in _characters() and not unicodedata.category(character).startswith("C")


@cache
def families() -> tuple[str, ...]:
    """DejaVu Sans, which comes with Matplotlib, and those of MORE_FONTS that are installed."""
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in MORE_FONTS if name in installed))


@cache
def _characters() -> frozenset[int]:
    """The code points that `families` can draw."""
    paths = [font_manager.findfont(name, fallback_to_default=False) for name in families()]
    return frozenset().union(*(FT2Font(path).get_charmap() for path in paths))
