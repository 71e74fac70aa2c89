"""Templates to text: HTML pages that need no other file, and Markdown.

A page has no script and requests nothing; every text is escaped. Its Content-Security-Policy allows its own style
sheet, by its hash, and pictures that are part of the page. Since it allows no style attributes, whatever depends on a
number is a class or a picture.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from feathertune.report.figures.colours import CLASSES
from feathertune.wording.duration import duration
from feathertune.wording.markdown import escaped, fenced
from feathertune.wording.numbers import narrow_span, number, percent, points
from feathertune.wording.visible import shown

FILTERS = {
    "percent": percent,
    "points": points,
    "narrow_span": narrow_span,
    "number": number,
    "shown": shown,
    "duration": duration,
    "escaped": escaped,
    "fenced": fenced,
}


def render_page(template: str, facts: Mapping[str, Any]) -> str:
    """An HTML page from a template in `templates/`."""
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    # the style sheet is ours; escaping its quotation marks would change its hash
    return _environment().get_template(template).render(facts, style=Markup(style), policy=policy)  # noqa: S704


def render_markdown(template: str, facts: Mapping[str, Any]) -> str:
    """Markdown from a template in `templates/`. Foreign text in it must pass the filter `escaped`."""
    return _environment().get_template(template).render(facts)


@cache
def style_sheet() -> str:
    """The style sheet of `templates/`, with classes for the colours of pictures and for shades."""
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


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("feathertune.report"),
        autoescape=select_autoescape(["html"]),  # not Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    return environment
