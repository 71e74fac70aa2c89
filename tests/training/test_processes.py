"""Two processes that share each step end with the same weights as a single one, and can carry out whole runs."""

import json
import multiprocessing
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from crash_child import train_run_together, train_share
from feathertune.run.evaluate import evaluate_run
from short_training import lora_classifier, random_set, same, train, weights_of
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
    alone = lora_classifier()
    train(tmp_path / "alone", alone, random_set(21), batch_size=12, gradient_accumulation_steps=1, epochs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert same(first, second)
    for name, tensor in weights_of(alone).items():
        torch.testing.assert_close(first[name], tensor, atol=1e-5, rtol=0)


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
