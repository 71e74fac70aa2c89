"""From facts to one HTML page that needs nothing else: no script, no request, every text escaped.

The page's Content-Security-Policy allows its own style sheet, by its hash, and pictures that are in the page. Since no
style attribute is allowed, what depends on a number is a class or a picture.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from feathertune.report.figures.colours import CLASSES
from feathertune.wording.duration import duration
from feathertune.wording.visible import visible

MAX_TEXT = 280  # characters of a text from elsewhere
DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def render_page(template: str, facts: Mapping[str, Any]) -> str:
    """The template, in `templates/`, as a whole page."""
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    # the style sheet is ours; its quotation marks must not be escaped, since its hash would be another
    return _environment().get_template(template).render(facts, style=Markup(style), policy=policy)  # noqa: S704


@cache
def style_sheet() -> str:
    """The style sheet of `templates/`, with classes for the pictures' colours and for shades."""
    environment = _environment()
    assert environment.loader is not None
    written = environment.loader.get_source(environment, "style.css")[0]
    colours = "".join(
        f".fill-{name} {{ fill: var(--{name}); }} .stroke-{name} {{ stroke: var(--{name}); }}\n"
        for name in CLASSES.values()
    )
    shades = "".join(
        f".shade-{tenth} {{ background: color-mix(in oklab, var(--blue) {5 * tenth}%, transparent); }}\n"
        for tenth in range(1, 11)
    )
    return f"\n{written}{colours}{shades}"


def percent(share: float | None, digits: int = 1) -> str:
    """0.7634 -> '76.3%'."""
    return DASH if share is None else f"{100 * share:.{digits}f}%"


def points(difference: float | None) -> str:
    """0.031 -> '+3.1', in percentage points, with a real minus sign."""
    return DASH if difference is None else f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", MINUS)


def span(interval: tuple[float, float] | None, scale: float = 100, digits: int = 1) -> str:
    """(0.749, 0.777) -> '74.9 to 77.7'; nothing where there is none."""
    if interval is None:
        return ""
    low, high = (f"{round(scale * end, digits) + 0.0:.{digits}f}".replace("-", MINUS) for end in interval)
    return f"{low} to {high}"


def narrow_span(interval: tuple[float, float] | None, scale: float = 100, digits: int = 1) -> str:
    """(0.749, 0.777) -> '74.9–77.7', for a table; 'to' where a minus sign stands beside."""
    written = span(interval, scale, digits)
    return written if MINUS in written else written.replace(" to ", DASH)


def number(value: float | None, digits: int = 0) -> str:
    """12345.6 -> '12,346'."""
    return DASH if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def shown(text: object, longest: int = MAX_TEXT) -> str:
    """A text from elsewhere: nothing in it acts on the page's direction or lines, and it is cut where it is long."""
    whole = str(text)
    if len(whole) <= longest:
        return visible(whole)
    return f"{visible(whole[:longest])}… ({len(whole):,} characters)"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("feathertune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "narrow_span": narrow_span,
        "number": number,
        "shown": shown,
        "duration": duration,
    }
    return environment
