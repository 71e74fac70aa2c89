"""The page's engine in headless Chromium: what goes wrong is one error, and soon."""

import time
from pathlib import Path

import pytest

from browsers import NEEDS_CHROMIUM
from feathertune.errors import UserError
from feathertune.web import chromium
from feathertune.web.chromium import require_chromium
from feathertune.web.engine import in_chromium


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chromium, "_PLACES", ())
    with pytest.raises(UserError, match="there is no Chromium, Chrome or Edge"):
        require_chromium()
    monkeypatch.setenv("CHROMIUM", "/nowhere/chrome")
    with pytest.raises(UserError) as error:
        require_chromium()
    assert error.value.where == "CHROMIUM=/nowhere/chrome"


def test_a_browser_that_ends_is_no_reason_to_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'no display' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    began = time.monotonic()
    with pytest.raises(UserError, match="Chromium ended by itself: no display") as error:
        in_chromium(tmp_path, ["a text"], isolated=False)
    assert error.value.where == str(program)
    assert time.monotonic() - began < 10


@NEEDS_CHROMIUM
@pytest.mark.parametrize("script", [None, "throw new Error('out of memory')"])
def test_what_fails_in_the_page_is_reported(script: str | None, tmp_path: Path) -> None:
    reason = "/page/local.js: 404 File not found"
    if script is not None:
        (tmp_path / "page").mkdir()
        (tmp_path / "page" / "local.js").write_text(f"export function ask() {{ {script} }}")
        reason = "out of memory"
    with pytest.raises(UserError) as error:
        in_chromium(tmp_path, ["a text"], isolated=False)
    assert error.value.what == f"the page cannot predict in Chromium: {reason}"
    assert error.value.where == str(tmp_path)
