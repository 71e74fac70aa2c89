"""What is refused before a route sees it."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Scope

from feathertune.errors import UserError
from feathertune.server.limits import Limits
from feathertune.server.metrics import Metrics
from feathertune.server.settings import Settings, read_api_key

App = Callable[..., Any]


def chunks(size: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * size


def test_a_body_that_is_too_long_is_refused_announced_or_not(app: App) -> None:
    with TestClient(app(max_body_bytes=1000)) as client:
        for body in (b"x" * 1001, chunks(100, 11)):
            answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["error"]) == (413, "the body has more than 1000 bytes")
        fits = b'{"inputs": "a dog"}'.ljust(1000)
        answer = client.post("/predict", content=fits, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200


def test_a_key_is_needed_for_answers_but_not_for_health_and_page(app: App) -> None:
    with TestClient(app(api_key="secret")) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}, {"Authorization": b"\xff"}):
            for method, path in (("POST", "/predict"), ("POST", "/"), ("GET", "/info"), ("GET", "/metrics")):
                answer = client.request(method, path, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        for path in ("/health", "/", "/page/page.js", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        right = {"Authorization": "Bearer secret"}
        assert client.post("/predict", json={"inputs": "a dog"}, headers=right).status_code == 200


def test_the_page_has_a_strict_policy_and_nothing_outside_its_folder(app: App) -> None:
    with TestClient(app()) as client:
        answer = client.get("/")
        assert "<title>Feathertune</title>" in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        for path in ("/page/..%2fapp.py", "/page/../app.py", "/page/%2e%2e/app.py"):
            assert client.get(path).status_code == 404


@pytest.mark.parametrize("content", ["", " \n", "two words", "k\u00e9y"])
def test_a_key_file_must_hold_a_key(content: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="--api-key-file"):
        read_api_key(path)
    path.write_text("abc\n", encoding="utf-8")
    assert read_api_key(path) == "abc"


def call(limits: Limits, *, path: str = "/predict", receive: Any = None, send: Any = None) -> Any:
    """One request to the middleware: its status, or what it raises."""
    sent: list[Message] = []

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def keep(message: Message) -> None:
        sent.append(message)

    async def run() -> int:
        scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        await limits(scope, receive or nothing, send or keep)
        status: int = sent[0]["status"]
        return status

    return run()


async def answer(scope: Scope, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_one_request_too_many_is_refused_but_health_is_answered() -> None:
    async def main() -> list[int]:
        go = asyncio.Event()

        async def slow(scope: Scope, receive: Any, send: Any) -> None:
            if scope["path"] != "/health":
                await go.wait()
            await answer(scope, receive, send)

        limits = Limits(slow, Settings(max_concurrent_requests=2), Metrics())
        two = [asyncio.create_task(call(limits)) for _ in range(2)]
        await asyncio.sleep(0)
        refused, health = await call(limits), await call(limits, path="/health")
        go.set()
        return [refused, health, *await asyncio.gather(*two), await call(limits)]

    assert asyncio.run(main()) == [429, 200, 200, 200, 200]


def test_a_body_that_does_not_come_times_out() -> None:
    async def never() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    assert asyncio.run(call(Limits(answer, Settings(timeout=0.05), Metrics()), receive=never)) == 408


def test_a_client_that_does_not_read_its_answer_is_given_up() -> None:
    async def stuck(_: Message) -> None:
        await asyncio.sleep(60)

    limits = Limits(answer, Settings(timeout=0.05), Metrics())
    with pytest.raises(TimeoutError):
        asyncio.run(call(limits, send=stuck))
    assert asyncio.run(call(limits)) == 200  # its place is free again


def test_a_bug_is_logged_and_answered_without_details(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("a detail")

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(call(Limits(broken, Settings(), Metrics()))) == 500
    assert "a detail" in caplog.text
