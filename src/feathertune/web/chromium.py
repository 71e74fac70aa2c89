"""Chromium without a window: finding it, starting it with a profile of its own, and what it complains about."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from feathertune.errors import UserError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_QUIET = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--mute-audio",
)


def find_chromium() -> str | None:
    """Chromium, Chrome or Edge: the program of the variable CHROMIUM, or the first that is installed."""
    if own := os.environ.get("CHROMIUM"):
        return shutil.which(own) or own
    return next(filter(None, map(shutil.which, (*_NAMES, *_PLACES))), None)


def require_chromium() -> str:
    """The same. Raises UserError if there is none."""
    program = find_chromium()
    if program is None or not Path(program).is_file():
        raise UserError(
            "an export for browsers is checked in one, and there is no Chromium, Chrome or Edge",
            where=None if program is None else f"CHROMIUM={program}",
            fix="Install Chromium, or set CHROMIUM=PROGRAM to where it is.",
        )
    return program


@dataclass(frozen=True)
class Chromium:
    """The running program, and the file that it writes its complaints to."""

    process: subprocess.Popen[bytes]
    program: str
    complaints: Path

    def require_running(self) -> None:
        """Raise a UserError, with its last words, if it has ended."""
        if self.process.poll() is not None:
            reason = self.complaints.read_text(encoding="utf-8", errors="replace").strip()[-300:]
            raise UserError(f"Chromium ended by itself: {reason}", where=self.program)


@contextmanager
def started(program: str, address: str) -> Iterator[Chromium]:
    """Chromium with a profile of its own, which is removed."""
    with tempfile.TemporaryDirectory(prefix="feathertune-chromium-", ignore_cleanup_errors=True) as folder:
        # Chromium refuses root, as in containers, unless it is without its sandbox; it opens our own page alone.
        root = ("--no-sandbox",) if sys.platform != "win32" and os.geteuid() == 0 else ()
        command = [program, *_QUIET, *root, f"--user-data-dir={folder}/profile", address]
        complaints = Path(folder, "stderr.txt")
        with complaints.open("wb") as file:
            try:
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)  # noqa: S603
            except OSError as error:
                raise UserError(f"Chromium does not start: {error.strerror}", where=program) from None
        try:
            yield Chromium(process, program, complaints)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
