"""The command in a process of its own: real clients, slow ones, and the end."""

import contextlib
import inspect
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import InferenceClient

from feathertune.cli.serve import serve
from feathertune.errors import UserError
from feathertune.server.running import listening
from feathertune.server.settings import Settings
from feathertune.serving.predictor import Predictor

SERVING = Path(__file__).resolve().parents[2] / "docs" / "SERVING.md"


class Server:
    """`feathertune serve` on a free port."""

    def __init__(self, run: Path, *options: str) -> None:
        program = "from feathertune.cli.app import main; main()"
        command = [sys.executable, "-c", program, "serve", str(run), "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        while " at http://" not in line:  # warnings of other libraries
            assert line, "the server ended"
            line = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found is not None
        self.port = int(found.group(1))
        self.url = found.group()
        self._rest = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._rest.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def has_ended(self) -> bool:
        """Wait for the end. Whether it was one by the signal, not by an error."""
        status = self.process.wait(20)
        self._rest.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Server]:
    server = Server(run, "--timeout", "1", "--name", "cats")
    yield server
    server.end()
    assert server.has_ended()


def test_hugging_faces_client_gets_its_answers(
    server: Server, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # this machine can be reached
    client = InferenceClient(model=server.url)
    wanted = predictor.predict("the cat")[0].probabilities
    answer = client.text_classification("the cat")
    assert {one.label: one.score for one in answer} == wanted
    assert answer[0].score == max(wanted.values())
    assert len(client.text_classification("the cat", top_k=1)) == 1


def test_the_commands_in_the_documentation(server: Server) -> None:
    """Each curl command of docs/SERVING.md is answered with 200, if the model reads as many tokens as MiniLM's."""
    text = SERVING.read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (curl (?:.*\\\n)*.*)", text, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        here = command.replace("http://127.0.0.1:8000", server.url).replace("how do magnets work?", "a cat")
        done = subprocess.run(["bash", "-c", f"{here} -sf"], capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, command
        assert done.stdout.startswith("# HELP") if command.endswith("/metrics") else json.loads(done.stdout)


def test_the_documentations_command_for_several_models(run: Path, trained: Callable[..., Path]) -> None:
    text = SERVING.read_text(encoding="utf-8")
    (options,) = re.findall(r"^\$ feathertune serve runs/lora (--beside .*)$", text, re.MULTILINE)
    places = {"runs/int8": str(trained("int8-beside", "method=qat", "quantize={weights: int8, training: ptq}"))}
    server = Server(run, *(places.get(word, word) for word in options.split()))
    try:
        info = httpx2.get(f"{server.url}/info").json()
        names = [httpx2.get(f"{server.url}/{path}/info").json()["model_id"] for path in info["beside"]]
        assert names == ["int8-beside", "before"]
        answer = httpx2.post(f"{server.url}/beside/1/predict", json={"inputs": "the cat"}).json()
        assert {one["label"]: one["score"] for one in answer} == pytest.approx(
            Predictor(places["runs/int8"]).predict("the cat")[0].probabilities
        )
    finally:
        server.end()
    assert server.has_ended()


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: a", b"POST /predict HTTP/1.1\r\nHost: a\r\n"])
def test_a_client_that_never_ends_its_head_is_cut_off(server: Server, sent: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        started = time.monotonic()
        assert connection.recv(1000) == b""
        assert time.monotonic() - started < 5


def test_a_head_without_end_is_cut_off(server: Server) -> None:
    with server.connect() as connection:
        sent = 0
        with contextlib.suppress(OSError):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX: ")
            while sent < 50_000_000:
                sent += connection.send(b"x" * 10_000)
        assert sent < 10_000_000  # what the system's buffers hold


def test_a_client_that_drips_its_second_head_is_cut_off(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(4000).startswith(b"HTTP/1.1 200")
        ended = time.monotonic() + 5
        with contextlib.suppress(OSError):  # a reset or a broken pipe
            while time.monotonic() < ended:
                connection.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() < ended


def test_a_body_that_never_comes_is_answered_with_408(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
        assert connection.recv(4000).startswith(b"HTTP/1.1 408")


def test_requests_in_progress_are_answered_after_sigterm_and_new_ones_refused(run: Path) -> None:
    server = Server(run)
    body = json.dumps({"inputs": ["the cat"] * 5}).encode()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with server.connect() as connection:
        connection.sendall(head + body[:5])
        time.sleep(0.3)
        server.end()
        ended = time.monotonic() + 5
        with contextlib.suppress(ConnectionRefusedError):
            while time.monotonic() < ended:
                server.connect().close()
                time.sleep(0.02)
        assert time.monotonic() < ended
        connection.sendall(body[5:])
        assert connection.recv(8000).startswith(b"HTTP/1.1 200")
    assert server.has_ended()


def test_the_commands_defaults_are_those_of_the_app_and_of_the_documentation() -> None:
    given = {name: parameter.default for name, parameter in inspect.signature(serve).parameters.items()}
    seconds = {"max_queue_ms": "max_queue_seconds", "max_wait_ms": "max_wait"}
    table = re.findall(r"^\| `--([\w-]+)` \| (\S+) \|", SERVING.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(table) == 10
    for option, written in table:
        name = option.replace("-", "_")
        assert float(written) == given[name], option
        scale = 1000 if name in seconds else 1
        assert getattr(Settings(), seconds.get(name, name)) == given[name] / scale, option


def test_a_taken_port_is_said_before_anything_is_loaded() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: cannot listen there: Address already in use"):
            listening("127.0.0.1", port)


def test_a_missing_extra_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feathertune.cli.serve._PACKAGES", ("fastapi", "no_such_package"))
    from feathertune.cli.serve import serve

    with pytest.raises(UserError, match=r"serving needs no_such_package\n.*feathertune.serve."):
        serve(run)
