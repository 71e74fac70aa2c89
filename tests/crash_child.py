"""What the processes of the crash tests run: a module that a new process can import by name."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Any

import torch

# In steps of 5 x 2 = 10, of which each of two processes takes 5 in batches of 3 and 2: 21 leaves one example for one of
# them in the last step, and none for the other; 25 leaves 3 and 2.
SHARED = (21, 25)
SETTINGS_SHARED: dict[str, Any] = {"batch_size": 5, "gradient_accumulation_steps": 2, "epochs": 2}


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

    run.train(load_recipe(recipe), output, command="feathertune train 'my recipe.yaml' --output run")
    torch.distributed.destroy_process_group()


def train_share(rank: int, world_size: int, port: int, output: Path) -> None:
    """One of several processes that train together. Each writes its weights."""
    _join(rank, world_size, port)
    from short_training import lora_classifier, random_set, train, weights_of

    for count in SHARED:
        classifier = lora_classifier()
        outcome = train(output / f"shared-{count}", classifier, random_set(count), **SETTINGS_SHARED)
        assert outcome.progress.examples_seen == 2 * count
        torch.save(weights_of(classifier), output / f"{count}-{rank}.pt")
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
