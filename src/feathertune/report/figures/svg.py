"""A Matplotlib figure as inline SVG in the style of the page: in its type, and in its light or dark colours.

Matplotlib's SVG is rewritten for a page with a strict Content-Security-Policy: it has no style attribute and no style
element; texts stay texts, in the page's type; each colour of `CLASSES` becomes a class, whose value the style sheet
defines; identifiers begin with the name of the picture, so that no two pictures share one.
"""

from __future__ import annotations

import io
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from feathertune.report.figures.canvas import plain
from feathertune.report.figures.colours import CLASSES

WIDTH = 4.9  # inches: about 350 units, so that 10 pt is readable where the picture is as wide as a phone
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DROPPED = {"font", "font-family", "font-style", "font-weight"}  # the page's are used


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an <svg> element, at most WIDTH inches wide.

    Args:
        figure: the figure.
        name: unique on the page; letters and hyphens.
        description: for readers who cannot see it.
    """
    width, height = figure.get_size_inches()
    if width > WIDTH:
        figure.set_size_inches(WIDTH, height * WIDTH / width * 1.08)
    buffer = io.StringIO()
    unset = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        plain(figure).savefig(buffer, format="svg", transparent=True, metadata=unset)
    # Matplotlib has just written it, and has escaped every text
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314
    return Markup(_rewritten(root, name, description))  # noqa: S704 - an XML writer has escaped every text


def _rewritten(root: ElementTree.Element, name: str, description: str) -> str:
    referenced = {value.split("#", 1)[1].rstrip(")") for value in _references(root)}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        attributes = dict(element.attrib)
        element.attrib.clear()
        element.attrib.update(_attributes(attributes, referenced, name))
        element.tail = None
        if element.tag != "text" and not (element.text or "").strip():
            element.text = None
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"class": "plot", "viewBox": box, "role": "img", "aria-label": description})
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _references(root: ElementTree.Element) -> list[str]:
    return [
        value
        for element in root.iter()
        for key, value in element.attrib.items()
        if key == f"{{{_XLINK}}}href" or value.startswith("url(#")
    ]


def _attributes(attributes: dict[str, str], referenced: set[str], name: str) -> dict[str, str]:
    """The attributes of an element; those of its style become plain attributes and classes."""
    result: dict[str, str] = {}
    classes = []
    declared = [item.split(":", 1) for item in attributes.pop("style", "").split(";") if ":" in item]
    for key, value in [*attributes.items(), *((key.strip(), value.strip()) for key, value in declared)]:
        colour = CLASSES.get(value.upper()) if key in ("fill", "stroke") else None
        if colour is not None:
            classes.append(f"{key}-{colour}")
        elif key == "id":
            if value in referenced:
                result["id"] = f"{name}-{value}"
        elif key == f"{{{_XLINK}}}href":
            result["href"] = f"#{name}-{value[1:]}"
        elif value.startswith("url(#"):
            result[key] = f"url(#{name}-{value[5:]}"
        elif key == "d":
            result["d"] = " ".join(value.split())
        elif key not in _DROPPED and not (key == "transform" and value.startswith("rotate(-0 ")):
            result[key] = value
    return result | ({"class": " ".join(classes)} if classes else {})
