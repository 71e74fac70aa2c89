"""The page's engine, run for the parity gate: in headless Chromium, and in Node.js."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError
from feathertune.web.chromium import Chromium, require_chromium, started
from feathertune.web.pages import GATE

_ERROR = re.compile(r"\w*Error\b.*: ")  # of the lines that Node.js prints, which may hold a script's whole source
_SILENCE = 180.0  # seconds without a report, after which Chromium is given up


@dataclass(frozen=True)
class Answers:
    """What the engine gives for N texts.

    Attributes:
        logits_NC: [N, C].
        labels: the label of each text.
        tokens: the token ids of each text.
        milliseconds: the median time of one text, alone in its request, without the first.
        isolated: whether the page was isolated from others (COOP and COEP), so that it may use several threads.
    """

    logits_NC: npt.NDArray[np.float32]
    labels: list[str]
    tokens: list[list[int]]
    milliseconds: float
    isolated: bool


def in_chromium(folder: Path, texts: Sequence[str], *, isolated: bool) -> Answers:
    """What the page in `folder` gives in headless Chromium, served by this process on the loopback interface.

    Args:
        folder: of the export.
        texts: what to predict.
        isolated: whether the page gets the headers COOP and COEP, so that it may compute in several threads.

    Raises:
        UserError: Chromium is missing or does not start, or the engine refuses the model or a text.
    """
    program = require_chromium()
    with _served(folder, texts, isolated=isolated) as (address, reports), started(program, address) as chromium:
        rows: list[dict[str, Any]] = []
        seen_isolated = False
        while len(rows) < len(texts):
            report = _next_report(reports, chromium)
            if "error" in report:
                raise UserError(f"the page cannot predict in Chromium: {report['error']}", where=str(folder))
            rows += report["rows"]
            seen_isolated = report["isolated"]
    return _answers(rows, isolated=seen_isolated)


def find_node() -> str | None:
    """Node.js, if it is installed."""
    return shutil.which("node")


def in_node(node: str, folder: Path, texts: Sequence[str]) -> Answers:
    """The same by this Node.js, on one thread. Raises UserError if the engine fails there."""
    script, engine = GATE / "node.mjs", (folder / "page" / "engine.js").resolve().as_uri()
    done = subprocess.run(  # noqa: S603
        [node, script, engine, folder.resolve()],
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if _ERROR.match(line)]
        reason = (errors or [f"it ended with status {done.returncode}"])[-1][:300]
        raise UserError(f"the page's engine cannot predict in Node.js: {reason}", where=str(folder))
    return _answers(json.loads(done.stdout), isolated=False)


def _answers(rows: Sequence[dict[str, Any]], *, isolated: bool) -> Answers:
    return Answers(
        logits_NC=np.array([row["logits"] for row in rows], dtype=np.float32),
        labels=[row["label"] for row in rows],
        tokens=[row["tokens"] for row in rows],
        milliseconds=float(np.median([row["milliseconds"] for row in rows])),
        isolated=isolated,
    )


class _Handler(SimpleHTTPRequestHandler):
    """The folder of the export, and the gate's own page under /gate/, which reports to a queue."""

    def __init__(self, *arguments: Any, texts: bytes, reports: queue.Queue[Any], isolated: bool, folder: str) -> None:
        self._texts, self._reports, self._isolated = texts, reports, isolated
        super().__init__(*arguments, directory=folder)

    def do_GET(self) -> None:
        if self.path == "/gate/texts.json":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(self._texts)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self._reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def translate_path(self, path: str) -> str:
        if path.startswith("/gate/"):
            return str(GATE / (path.removeprefix("/gate/") or "index.html"))
        return super().translate_path(path)

    def end_headers(self) -> None:
        if self._isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._reports.put({"error": f"{self.path}: {code} {message or ''}"})
        super().send_error(code, message, explain)

    def log_message(self, *_: Any) -> None:
        """Requests are no news."""


@contextmanager
def _served(folder: Path, texts: Sequence[str], *, isolated: bool) -> Iterator[tuple[str, queue.Queue[Any]]]:
    """The gate's page at an address, and what it reports."""
    reports: queue.Queue[Any] = queue.Queue()
    content = json.dumps(list(texts)).encode()
    handler = partial(_Handler, texts=content, reports=reports, isolated=isolated, folder=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/gate/", reports
        finally:
            server.shutdown()
            thread.join()


def _next_report(reports: queue.Queue[Any], chromium: Chromium) -> dict[str, Any]:
    """What the page reports next. Raises UserError if Chromium ends or is silent."""
    waited = 0.0
    while waited < _SILENCE:
        try:
            report: dict[str, Any] = reports.get(timeout=0.5)
        except queue.Empty:
            waited += 0.5
            chromium.require_running()
        else:
            return report
    raise UserError(f"Chromium gave no answer within {_SILENCE:.0f} seconds", where=chromium.program)
