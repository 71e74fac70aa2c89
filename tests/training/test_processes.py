"""Two processes that share each step end with the weights of one that takes it alone."""

import multiprocessing
import socket
import sys
from pathlib import Path

import pytest
import torch

from crash_child import train_share
from short_training import lora_classifier, random_set, same, train, weights_of


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and fork are not there")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["feathertune.run", "transformers.models.bert.modeling_bert"])
    processes = [context.Process(target=train_share, args=(rank, 2, port, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]

    alone = lora_classifier()
    train(tmp_path / "alone", alone, random_set(21), batch_size=12, accumulation=1, epochs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert same(first, second)
    for name, tensor in weights_of(alone).items():
        torch.testing.assert_close(first[name], tensor, atol=1e-5, rtol=0)
