"""Chromium, and the packages of pages that compute in it, for tests that look at pages.

Needs Chromium (Debian's package `chromium`) on the path, or its place in the variable CHROMIUM.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import pytest

from feathertune.web.packages import FILES, packages_folder

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
)
NEEDS_PACKAGES = pytest.mark.skipif(
    not all((packages_folder() / name).is_file() for name in FILES),
    reason="the packages for browsers are not installed: feathertune web-packages",
)
_QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_QUIET += ["--disable-component-update", "--disable-sync"]


@contextmanager
def running() -> Iterator[Any]:
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield browser
        browser.close()


def opened(browser: Any, address: str, **settings: Any) -> tuple[Any, list[str]]:
    """Our page in a tab, and every error, and every request to another server."""
    tab, complaints = browser.new_context(**settings).new_page(), []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("request", lambda request: None if request.url.startswith(address) else complaints.append(request.url))
    tab.goto(address)
    return tab, complaints


def classify(tab: Any, texts: list[str]) -> None:
    tab.fill("#texts", "\n".join(texts))
    tab.press("#texts", "Control+Enter")
    tab.wait_for_selector(f"#status:text-matches('^{len(texts)} texts( by . models)? in ')")


def violations(tab: Any) -> list[str]:
    """What axe-core finds, evaluated beside the page's content security policy."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    run = "axe.run().then(found => JSON.stringify(found.violations.map(one => [one.id, one.nodes[0].html])))"
    devtools = tab.context.new_cdp_session(tab)
    result = devtools.send("Runtime.evaluate", {"expression": f"{axe}; {run}", "awaitPromise": True})
    found: list[str] = json.loads(result["result"]["value"])
    return found
