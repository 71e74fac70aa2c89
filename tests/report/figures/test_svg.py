"""An inline picture holds nothing that a strict Content-Security-Policy forbids, and takes its colours from classes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from feathertune.report.figures.canvas import canvas, finish
from feathertune.report.figures.colours import BLUE
from feathertune.report.figures.svg import inline_svg


def drawn(name: str, title: str = "<b>&amp; $x_$</b>") -> str:
    figure, axes = canvas()
    axes.plot([0, 1, 2], [0, 1, 4], color=BLUE, marker="o", label=title)
    axes.set_xlabel(title)
    return str(inline_svg(finish(figure, axes), name, title))


def test_no_style_and_no_font_of_its_own() -> None:
    svg = drawn("a")
    assert "style" not in svg
    assert "font-family" not in svg
    assert 'class="fill-none' not in svg
    assert "stroke-blue" in svg
    assert BLUE.lower() not in svg.lower()


def test_texts_are_texts_and_escaped() -> None:
    root = ElementTree.fromstring(drawn("a"))
    texts = [element.text for element in root.iter("text")]
    assert texts.count("<b>&amp; $x_$</b>") == 2
    assert root.get("aria-label") == "<b>&amp; $x_$</b>"
    assert root.find(".//b") is None


def test_identifiers_are_the_pictures_own_and_all_there() -> None:
    first, second = drawn("first"), drawn("second")
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]
    assert set(re.findall(r'href="#([^"]+)"', first)) | set(re.findall(r"url\(#([^)]+)\)", first)) == ids[0]


def test_the_same_figure_gives_the_same_picture() -> None:
    assert drawn("a") == drawn("a")
