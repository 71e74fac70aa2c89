"""What is refused before a route sees it: the wrong key, too much at once, bodies that are too long or come too slowly.

The body is read here, as a whole, so that its length is limited whether or not the client has announced it (chunked).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feathertune.server.metrics import Metrics
from feathertune.server.refusals import Refusal, overloaded
from feathertune.server.settings import Settings

# No key is needed to see whether the server lives, nor for the page and the documentation, which hold no answers.
OPEN = ("/", "/health", "/docs", "/docs.css", "/openapi.json")
_UNCOUNTED = ("/health", "/metrics")  # answered under any load
_REFUSED = (0.25, 0.75)  # seconds until 429 is sent: drawn, so that the refused do not come back all at once
_SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_log = logging.getLogger(__name__)


class Limits:
    """ASGI middleware around the whole app."""

    def __init__(
        self, app: ASGIApp, settings: Settings, metrics: Metrics, admit: Callable[[], None] = lambda: None
    ) -> None:
        """Go around `app`; `admit` raises a Refusal where it has too much to do, before anything is read."""
        self._app, self._settings, self._metrics, self._admit = app, settings, metrics, admit
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        counted = scope["path"] not in _UNCOUNTED
        leave = self._enter(counted=counted)
        started, answer = time.perf_counter(), _Answer(send, self._settings.timeout, leave)
        try:
            self._check(scope, counted=counted)
            body = await _body(scope, receive, self._settings)
            await self._app(scope, _replay(body, receive), answer)
        except Refusal as refusal:
            await refusal.response()(scope, receive, answer)
        except Exception:
            if answer.status is not None:
                raise
            _log.exception("a request failed")
            failure = Refusal(500, "internal error; the server's log says more", "Backend")
            await failure.response()(scope, receive, answer)
        finally:
            leave()
            route = scope.get("route")
            path = getattr(route, "path", None) or "other"
            self._metrics.requests.labels(path, str(answer.status or 499)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - started)

    def _enter(self, *, counted: bool) -> Callable[[], None]:
        """Count a request that is in progress, until what is returned is called for the first time."""
        inside = [counted]
        self._in_progress += counted
        self._metrics.in_progress.set(self._in_progress)

        def leave() -> None:
            self._in_progress -= inside.pop() if inside else 0
            self._metrics.in_progress.set(self._in_progress)

        return leave

    def _check(self, scope: Scope, *, counted: bool) -> None:
        """Raise a Refusal for a missing key, or one request too many."""
        if self._settings.api_key is not None and not _is_open(scope):
            given = dict(scope["headers"]).get(b"authorization", b"")
            expected = f"Bearer {self._settings.api_key}".encode()
            if not hmac.compare_digest(given, expected):
                sentence = "the header `Authorization: Bearer KEY` is missing, or its key is wrong"
                raise Refusal(401, sentence, "Http", {"WWW-Authenticate": "Bearer"})
        limit = self._settings.max_concurrent_requests
        if counted and self._in_progress > limit:
            raise overloaded(f"the server is overloaded: {limit} requests are in progress", 1)
        if scope["method"] == "POST" and not scope["path"].startswith("/beside/"):
            self._admit()


def _is_open(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in OPEN or path.startswith("/page/"))


async def _body(scope: Scope, receive: Receive, settings: Settings) -> bytes:
    """The request's body. Raises a Refusal if it is too long (413) or takes too long (408)."""
    limit = settings.max_body_bytes
    too_long = Refusal(413, f"the body has more than {limit} bytes", headers={"Connection": "close"})
    announced = dict(scope["headers"]).get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(settings.timeout):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "the client has gone", "Http")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_long
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        sentence = f"the body did not arrive within {settings.timeout:g} seconds"
        raise Refusal(408, sentence, "Http", {"Connection": "close"}) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was already read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


class _Answer:
    """A `send` that notes the status, adds headers, and gives up on clients that do not read.

    429 is sent a moment later: a client that tries again at once would take the time of those that are answered. It is
    not in progress meanwhile, which `leave` says.
    """

    def __init__(self, send: Send, timeout: float, leave: Callable[[], None]) -> None:
        self._send, self._timeout, self._leave = send, timeout, leave
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: list[Any] = list(message.get("headers", []))
            headers += [(name.encode(), value.encode()) for name, value in _SECURITY.items()]
            message = {**message, "headers": headers}
            if self.status == 429:
                self._leave()
                await asyncio.sleep(random.uniform(*_REFUSED))  # noqa: S311 - no secret
        async with asyncio.timeout(self._timeout):
            await self._send(message)
