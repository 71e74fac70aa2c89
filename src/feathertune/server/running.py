"""Running the app in uvicorn: what to listen on, slow clients, and the end."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from feathertune.errors import UserError
from feathertune.server.settings import Settings

_MAX_HEAD = 65_536  # bytes that may come before a request's head is complete


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0: any free one. Raises UserError if that is not possible."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        if listener is not None:
            listener.close()
        raise UserError(
            f"cannot listen there: {error.strerror}",
            where=f"--host {host} --port {port}",
            fix="Give another --port, or end the program that uses this one.",
        ) from None
    return listener


def run_app(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C: then no request is taken any more, and those in progress are answered."""
    config = uvicorn.Config(
        app,
        http=_protocol(settings.timeout),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=max(1, int(settings.timeout)),
        timeout_graceful_shutdown=max(1, int(settings.drain)),
    )
    uvicorn.Server(config).run(sockets=[listener])


def _protocol(seconds: float) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol, which by itself waits forever for the head of a request, of any length."""

    class TimedHead(HttpToolsProtocol):
        timer: asyncio.TimerHandle | None = None
        head = 0  # bytes since it began

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin()

        def data_received(self, data: bytes) -> None:
            if self.timer is None and (self.cycle is None or self.cycle.response_complete):
                self._begin()
            if self.timer is not None:
                self.head += len(data)
                # A body may follow the head at once, so the length counts only if the head was incomplete before.
                if self.head - len(data) > _MAX_HEAD:
                    self.transport.close()
                    return
            super().data_received(data)

        def on_headers_complete(self) -> None:
            self._end()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def _begin(self) -> None:
            """Give the head of the next request its time."""
            self.head = 0
            self.timer = self.loop.call_later(seconds, self.transport.close)

        def _end(self) -> None:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None

    return TimedHead
