"""Two processes that share each step end with the same weights as a single one, and can carry out whole runs."""

import html
import json
import multiprocessing
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from crash_child import SETTINGS_SHARED, SHARED, train_run_together, train_share
from feathertune.cli.app import app
from feathertune.errors import UserError
from feathertune.recipe.files import parse_recipe
from feathertune.run.checks import check_processes
from feathertune.run.evaluate import evaluate_run
from feathertune.system.machine import launched
from short_training import log_of, lora_classifier, random_set, same, train, weights_of
from tiny import save_tiny_base, write_tiny_data

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork are missing")


def together(target: Callable[..., None], *arguments: Path) -> None:
    """Run `target` in two connected processes, and check that both succeed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["feathertune.run.train", "transformers.models.bert.modeling_bert"])
    processes = [context.Process(target=target, args=(rank, 2, port, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    together(train_share, tmp_path)
    for count in SHARED:
        alone = lora_classifier()
        train(tmp_path / "alone", alone, random_set(count), **SETTINGS_SHARED)
        first, second = (torch.load(tmp_path / f"{count}-{rank}.pt", weights_only=True) for rank in range(2))
        assert same(first, second)
        for name, tensor in weights_of(alone).items():
            torch.testing.assert_close(first[name], tensor, atol=1e-5, rtol=0)
        shared, own = log_of(tmp_path / f"shared-{count}"), log_of(tmp_path / "alone")
        assert [(entry["event"], entry["step"]) for entry in shared] == [(one["event"], one["step"]) for one in own]
        assert [entry["train_loss"] for entry in shared] == pytest.approx([entry["train_loss"] for entry in own])


@pytest.mark.parametrize(
    "method",
    [
        {"lora": {"rank": 4, "members": 2}},
        {"method": "qat", "lora": {"rank": 4}, "quantize": {"weights": "int8", "epochs": 1}},
    ],
    ids=["soup", "qat"],
)
def test_two_processes_make_a_whole_run(tmp_path: Path, method: dict[str, object]) -> None:
    """In bf16, which the deployed model does not use; for QAT with a second training."""
    recipe = {
        "model": {"source": str(save_tiny_base(tmp_path / "base"))},
        "data": {"source": str(write_tiny_data(tmp_path / "data"))},
        "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.01, "precision": "bf16"},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe | method), encoding="utf-8")
    together(train_run_together, tmp_path / "recipe.yaml", tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert evaluate_run(tmp_path / "run").to_json() == summary["after"]["validation"]
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    command = "torchrun --nproc_per_node 2 -m feathertune.cli train 'my recipe.yaml' --output run"
    assert (environment["processes"], environment["threads"], environment["command"]) == (2, 1, command)
    for name in ("README.md", "report.html"):
        written = html.unescape((tmp_path / "run" / name).read_text(encoding="utf-8"))
        assert command in written
        assert "batch size 8 (shared by 2 processes)" in written.replace("\\", "")
        assert "1 thread in each of 2 processes" in written


def test_fewer_examples_than_processes_are_refused_before_anything_is_loaded() -> None:
    recipe = parse_recipe("model: {source: m}\ndata: {source: d}", ["training.batch_size=3"], where="here")
    check_processes(recipe, 3)
    with pytest.raises(UserError, match=r"training\.batch_size: 4 processes share each step, .* has 3 examples"):
        check_processes(recipe, 4)
    accumulated = parse_recipe(
        "model: {source: m}\ndata: {source: d}",
        ["training.batch_size=3", "training.gradient_accumulation_steps=2"],
        where="here",
    )
    check_processes(accumulated, 4)


@pytest.mark.parametrize("command", ["tune", "compare", "predict", "export"])
def test_other_commands_run_in_one_process(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(
        app, [command, "quickstart" if command in ("tune", "compare") else "run", "--output", "o"]
    )
    assert isinstance(result.exception, UserError)
    assert f"`{command}` runs in one process" in str(result.exception)


def test_the_command_of_several_machines_has_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert launched("feathertune train r", 1) == "feathertune train r"
    assert launched("feathertune train r", 6) == "torchrun --nnodes 3 --nproc_per_node 2 -m feathertune.cli train r"
