"""The example for Ray Serve, on a Ray of this machine with two replicas."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from feathertune.export.exporting import export_run
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

pytest.importorskip("ray.serve", reason="ray[serve] is not installed")
pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "ray_serve.py"
TEXTS = ["what is the cat", "how do trees grow", "cat", "why do we sleep", "the"]
KEY = "secret"


class Server:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"

    def request(self, path: str, body: object = None, *, key: str = KEY) -> tuple[int, Any, str | None]:
        """(status, body, replica)."""
        headers = {"Authorization": f"Bearer {key}"}
        method = "GET" if body is None else "POST"
        answer = httpx2.request(method, self.url + path, json=body, headers=headers, timeout=60)
        return answer.status_code, answer.content, answer.headers.get("x-replica")

    def replicas(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in children if "ServeReplica" in " ".join(one.cmdline())]

    def answering(self, requests: int = 40) -> set[str | None]:
        answers = [self.request("/predict", {"inputs": "cat"}) for _ in range(requests)]
        assert {status for status, _, _ in answers} == {200}
        return {replica for _, _, replica in answers}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    recipe = f"""
    model: {{source: '{folder / "base"}', max_length: 16}}
    data: {{source: '{folder / "data"}'}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    """
    train(parse_recipe(recipe, [], where="here"), folder / "run")
    export_run(folder / "run", "onnx", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def server(export: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = export.parent / "key"
    key.write_text(KEY)
    limits = ("--max-concurrent-requests", "2", "--max-body-bytes", "100000", "--api-key-file", str(key))
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, str(EXAMPLE), str(export), "--replicas", "2", "--port", str(port), *limits]
    with (export.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    server, started = Server(process, port), []
    try:
        _wait(lambda: _healthy(server) and len(server.replicas()) == 2, process, export.parent / "log")
        started = psutil.Process(process.pid).children(recursive=True)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _, left = psutil.wait_procs(started, timeout=20)
        for one in left:
            one.kill()
    assert not left


def _healthy(server: Server) -> bool:
    try:
        return server.request("/health")[0] == 200
    except httpx2.TransportError:
        return False


def _wait(until: Any, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.2)


def test_two_replicas_answer_as_the_predictor_does(server: Server, export: Path) -> None:
    assert len(_both(server)) == 2
    status, body, _ = server.request("/predict", {"inputs": [[text] for text in TEXTS]})
    assert status == 200
    given = [{one["label"]: one["score"] for one in scores} for scores in json.loads(body)]
    assert given == [one.probabilities for one in Predictor(export).predict(TEXTS)]
    for path in ("/", "/health", "/info", "/metrics", "/docs", "/page/page.js"):
        assert server.request(path)[0] == 200, path
    assert server.request("/", {"inputs": "cat"})[0] == server.request("/classify", {"input": "cat"})[0] == 200


def test_its_limits_are_those_of_the_server(server: Server) -> None:
    assert server.request("/predict", {"inputs": "cat"}, key="wrong")[0] == 401
    assert server.request("/predict", {"inputs": "x" * 100_001})[0] == 413
    assert server.request("/predict", {"inputs": "cat " * 100})[0] == 413
    assert server.request("/predict", {"inputs": 1})[0] == 422
    many = {"inputs": [["cat dog " * 7] for _ in range(1000)]}
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: server.request("/predict", many), range(48)))
    refused = [json.loads(body)["error"] for status, body, _ in answers if status == 429]
    assert {status for status, _, _ in answers} == {200, 429}
    assert set(refused) == {"the server is overloaded: 2 requests are in progress"}


def test_a_replica_that_is_killed_takes_only_its_own_requests_with_it(server: Server) -> None:
    before = _both(server)
    server.replicas()[0].kill()
    statuses = [server.request("/predict", {"inputs": "cat"})[0] for _ in range(20)]
    assert statuses.count(200) >= 18, statuses  # a request that was sent to the killed one may be lost
    assert len(_both(server) & before) == 1  # the other one went on; a new one took the place


def _both(server: Server) -> set[str | None]:
    """The two replicas; Ray may give many requests in a row to one of them."""
    found: list[set[str | None]] = [set()]
    _wait(lambda: len(server.replicas()) == 2, server.process, Path(os.devnull), 60)
    _wait(
        lambda: found.append(found[-1] | server.answering(5)) or len(found[-1]) == 2, server.process, Path(os.devnull)
    )
    return found[-1]
