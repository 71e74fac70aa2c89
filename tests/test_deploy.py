"""deploy/: what the image installs serves an ONNX export without torch; image and manifest agree with the command."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML

from feathertune.export.exporting import export_run
from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

REPOSITORY = Path(__file__).resolve().parents[1]
DEPLOY = REPOSITORY / "deploy"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    folder = tmp_path_factory.mktemp("deploy")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    text = f"""
    model: {{source: '{folder / "base"}'}}
    data: {{source: '{folder / "data"}'}}
    method: qat
    quantize: {{weights: int8, training: ptq}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32}}
    """
    train(parse_recipe(text, [], where="here"), folder / "run")
    export_run(folder / "run", "onnx", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the packages of the image, and the package's source on its path."""
    folder = tmp_path_factory.mktemp("image") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    files = ("--constraint", REPOSITORY / "constraints.txt", "--requirement", DEPLOY / "requirements.txt")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *files]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_image_serves_an_export_without_torch(installed: Path, export: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    assert subprocess.run([installed, "-c", "import torch"], capture_output=True, check=False).returncode == 1
    program = "from feathertune.cli.app import main; main()"
    command = [installed, "-W", "ignore", "-c", program, "serve", export, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            address = re.search(r"http://[\d.:]+", process.stderr.readline())
            assert address is not None
            texts = ["the cat", "a dog , the"]
            answer = post(address[0] + "/classify", {"input": texts})
        finally:
            process.terminate()
    wanted = Predictor(export).predict(texts)
    assert [one["label"] for one in answer["data"]] == [one.label for one in wanted]
    for one, prediction in zip(answer["data"], wanted, strict=True):
        assert one["probs"] == pytest.approx(list(prediction.probabilities.values()), abs=1e-6)


def post(url: str, body: object) -> Any:
    for _ in range(100):
        try:
            return httpx2.post(url, json=body, timeout=10).json()
        except httpx2.ConnectError:  # not yet
            time.sleep(0.1)
    raise TimeoutError(url)


def documents() -> Iterator[dict[str, Any]]:
    yield from YAML(typ="safe").load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))


def test_the_manifest_runs_the_image_as_it_is_made() -> None:
    deployment, service = documents()
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert f"USER {pod['spec']['securityContext']['runAsUser']}" in image
    assert f"EXPOSE {container['ports'][0]['containerPort']}" in image
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert f'"serve", "{mounted["model"]}"' in image
    assert container["args"] == ["--api-key-file", f"{mounted['key']}/key"]
    assert all(container[probe]["httpGet"]["path"] == "/health" for probe in ("readinessProbe", "livenessProbe"))


def test_the_image_is_slim_has_no_root_and_a_health_check_and_copies_what_is_there() -> None:
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = image.splitlines()
    assert all("-slim" in line for line in lines if line.startswith("FROM "))
    assert max(i for i, line in enumerate(lines) if line.startswith("USER ")) < lines.index("EXPOSE 8000")
    assert "HEALTHCHECK " in image
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (REPOSITORY / name).exists(), name
