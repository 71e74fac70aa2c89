"""What the processes of the crash tests run: a module that a new process can import by name."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import torch


def train_run(recipe: Path, output: Path, threads: int) -> None:
    """`feathertune train --resume`, with a checkpoint after every step."""
    from feathertune.recipe.files import load_recipe
    from feathertune.run import stages
    from feathertune.run import train as run

    torch.set_num_threads(threads)
    stages.LoopSettings = functools.partial(stages.LoopSettings, checkpoint_seconds=0.0)  # type: ignore[misc, assignment]
    run.train(load_recipe(recipe), output, resume=True)


def train_until_killed(recipe: Path, output: Path, name: str) -> None:
    """`feathertune train`, killed when the file `name` is written but not yet renamed."""
    from feathertune.recipe.files import load_recipe
    from feathertune.run import train as run

    rename = Path.replace

    def kill(temporary: Path, path: Path) -> Path:
        if path.name == name:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(temporary, path)

    Path.replace = kill  # type: ignore[method-assign, assignment]
    run.train(load_recipe(recipe), output)


def train_run_together(rank: int, world_size: int, port: int, recipe: Path, output: Path) -> None:
    """One of several processes that carry out a whole run together."""
    _join(rank, world_size, port)
    from feathertune.recipe.files import load_recipe
    from feathertune.run import train as run

    run.train(load_recipe(recipe), output)
    torch.distributed.destroy_process_group()


def train_share(rank: int, world_size: int, port: int, output: Path) -> None:
    """One of several processes that train together. Each writes its weights."""
    _join(rank, world_size, port)
    from short_training import lora_classifier, random_set, train, weights_of

    classifier = lora_classifier()
    # 21 examples: steps of 2 x 2 x 3 = 12 and 9, where one process has five examples and the other four.
    outcome = train(
        output / "shared", classifier, random_set(21), batch_size=2, gradient_accumulation_steps=3, epochs=2
    )
    assert outcome.progress.examples_seen == 42
    torch.save(weights_of(classifier), output / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def _join(rank: int, world_size: int, port: int) -> None:
    """Set the environment variables that torchrun sets."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    torch.set_num_threads(1)
