"""The pages in headless Chromium: nothing is wider than a phone, no error, no request, every picture is there.

With SCREENSHOTS set to a folder, what was seen is kept there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import NEEDS_CHROMIUM, running

pytestmark = NEEDS_CHROMIUM

WIDTHS = {"phone": 360, "tablet": 768, "desktop": 1280}

OVERFLOWING = """() => [...document.querySelectorAll("body *")].filter(element => {
  for (let up = element; up; up = up.parentElement)
    if (getComputedStyle(up).overflowX === "auto" || up.tagName === "svg") return false;
  return element.getBoundingClientRect().right > innerWidth + 1;
}).map(element => element.tagName + "." + element.className)"""
HEIGHTS = "[...document.querySelectorAll('svg.plot')].map(svg => svg.getBoundingClientRect().height)"
# what a reader could not tell from the background: the contrast of every text, by WCAG 2
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const parts = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(part => {
      part /= 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
  };
  const light = colour => { const [r, g, b] = parts(colour); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll("h1, h2, h3, p, td, th, dt, dd, figcaption, a, svg text")];
  return texts.map(element => {
    const style = getComputedStyle(element), own = light(element.tagName === "text" ? style.fill : style.color);
    return [element.tagName, (Math.max(own, paper) + 0.05) / (Math.min(own, paper) + 0.05)];
  });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running() as browser:
        yield browser


def opened(browser: Any, page: Path, width: int, **settings: Any) -> tuple[Any, list[str]]:
    """The page, and everything it complained of or asked for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
    tab, complaints = context.new_page(), []
    tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    tab.on("request", lambda request: _note_request(request.url, page, complaints))
    tab.goto(page.as_uri())
    return tab, complaints


def _note_request(url: str, page: Path, complaints: list[str]) -> None:
    if url != page.as_uri() and not url.startswith("data:"):
        complaints.append(f"request: {url}")


def keep(tab: Any, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        tab.screenshot(path=f"{folder}/{name}.png", full_page=True)


KINDS = ["run", "quantized", "twenty", "hostile", "comparison", "hostile-comparison", "search", "hostile-search"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_overflows_nothing_complains_and_every_picture_is_there(
    browser: Any, pages: dict[str, Path], kind: str
) -> None:
    for device, width in WIDTHS.items():
        tab, complaints = opened(browser, pages[kind], width)
        keep(tab, f"{kind}-{device}")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, tab.evaluate(OVERFLOWING)
        assert tab.evaluate(OVERFLOWING) == []
        sizes = tab.evaluate(
            "[...document.querySelectorAll('svg.plot')].map(svg => svg.getBoundingClientRect().height)"
        )
        assert len(sizes) >= 2
        assert min(sizes) > 40
        assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert tab.title() != "hacked"
        assert complaints == []
        tab.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["run", "comparison", "search"])
def test_every_text_can_be_read_in_light_and_dark(browser: Any, pages: dict[str, Path], kind: str, scheme: str) -> None:
    tab, _ = opened(browser, pages[kind], 1280, color_scheme=scheme)
    keep(tab, f"{kind}-{scheme}")
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(22, 22, 20)") == (scheme == "dark")
    contrasts = tab.evaluate(CONTRASTS)
    assert len(contrasts) > 50
    assert min(contrast for _, contrast in contrasts) >= 4.5  # WCAG 2, level AA
    tab.context.close()


def test_print_is_black_on_white_and_within_the_page(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    tab, complaints = opened(browser, pages["run"], 700, color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    keep(tab, "run-print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700
    tab.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    pages_printed = (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n")
    assert 3 <= pages_printed <= 12
    assert complaints == []
    tab.context.close()
