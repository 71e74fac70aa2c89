"""What a server allows, with the defaults of `feathertune serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feathertune.errors import UserError

MIN_QUEUE = 32  # requests that may wait however long it takes, so that a slow model is no reason to refuse a few


@dataclass(frozen=True)
class Settings:
    """The limits of a server.

    Attributes:
        max_concurrent_requests: requests in progress; one more is refused with 429.
        max_texts: texts of one request.
        max_request_tokens: tokens of all texts of one request, before they are cut.
        max_batch_tokens: tokens that are predicted together.
        max_queue_tokens: tokens that wait; a request that would add to more is refused with 429.
        max_queue_seconds: how long a text would have to wait for the requests before it; in an overload, one that would
            wait longer is refused with 429, unless fewer than `MIN_QUEUE` requests wait.
        max_body_bytes: of a request.
        workers: batches that are computed at the same time, each by its share of the processor's cores.
        max_wait: seconds that a batch waits for other requests, under load only.
        timeout: seconds that a client has for sending a request's head, then for its body, and for taking each part of
            the response.
        drain: seconds that requests in progress have after SIGTERM.
        api_key: what clients send as `Authorization: Bearer KEY`; None: nothing is asked for.
        name: the model's name in answers; None: that of its folder.
    """

    max_concurrent_requests: int = 512
    max_texts: int = 1024
    max_request_tokens: int = 131_072
    max_batch_tokens: int = 512
    max_queue_tokens: int = 262_144
    max_queue_seconds: float = 0.04
    max_body_bytes: int = 2_000_000
    workers: int = 1
    max_wait: float = 0.001
    timeout: float = 10.0
    drain: float = 30.0
    api_key: str | None = None
    name: str | None = None


def read_api_key(path: Path) -> str:
    """The key in a file, without white space around it. Raises UserError unless it is one line of visible ASCII."""
    try:
        key = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise UserError("the key is not text", where=f"--api-key-file {path}") from None
    if not key:
        raise UserError("the file holds no key", where=f"--api-key-file {path}")
    if not all("!" <= character <= "~" for character in key):
        raise UserError(
            "a key is one line of visible ASCII characters, since HTTP headers carry no others",
            where=f"--api-key-file {path}",
            fix="For example: openssl rand -hex 32 > key",
        )
    return key
