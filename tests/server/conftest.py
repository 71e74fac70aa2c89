"""A tiny run that the server's tests serve, with a temperature and a threshold of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feathertune.folders.opened import OpenedRun
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.server.info import describe
from feathertune.server.settings import Settings
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

pytest.importorskip("fastapi", reason="the serve extra is not installed")


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Changes to a recipe -> the run's folder."""
    folder = tmp_path_factory.mktemp("server")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    text = f"""
    model: {{source: '{folder / "base"}', max_length: 16}}
    data: {{source: '{folder / "data"}'}}
    lora: {{rank: 4, targets: all-linear}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    evaluation: {{temperature: true, threshold: 0.3}}
    """

    def find(name: str, *changes: str) -> Path:
        if not (folder / name).exists():
            train(parse_recipe(text, list(changes), where="here"), folder / name)
        return folder / name

    return find


@pytest.fixture(scope="package")
def run(trained: Callable[..., Path]) -> Path:
    return trained("lora")


@pytest.fixture(scope="package")
def predictor(run: Path) -> Predictor:
    return Predictor(run, independent=True)


@pytest.fixture
def app(run: Path, predictor: Predictor) -> Callable[..., object]:
    """Settings -> the app over the run."""
    from feathertune.server.app import build_app

    def build(**settings: object) -> object:
        chosen = Settings(**settings)  # type: ignore[arg-type]
        return build_app(predictor, describe(OpenedRun.at(run), predictor, chosen, "fp32"), chosen)

    return build


@pytest.fixture
def browser_address() -> Iterator[Callable[..., str]]:
    """An app -> the address of a server of it, as a browser needs it."""
    uvicorn = pytest.importorskip("uvicorn")
    started = []

    def start(app: object) -> str:
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run)
        thread.start()
        started.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join()
