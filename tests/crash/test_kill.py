"""A run that is killed with SIGKILL at any moment and resumed ends as if nothing had happened."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from crash_child import train_run, train_until_killed
from tiny import save_tiny_base, write_tiny_data

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")

TIMINGS = {
    "seconds",
    "examples_per_second",
    "train_seconds",
    "train_examples_per_second",
    "peak_memory_mib",
    "finished",
}
STEPS = 4 * 12


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    path = folder / "recipe.yaml"
    path.write_text(
        json.dumps(
            {
                "model": {"source": str(save_tiny_base(folder / "base"))},
                "data": {"source": str(write_tiny_data(folder / "data", train=92))},
                "lora": {"rank": 4, "dropout": 0.1},
                "training": {"epochs": 4, "batch_size": 8, "learning_rate": 0.01, "best_metric": "loss"},
            }
        ),
        encoding="utf-8",
    )
    return path


def start(recipe: Path, output: Path, target: Callable[..., None] = train_run, argument: int | str = 2) -> BaseProcess:
    """A process that trains with two threads, forked from one in which PyTorch and transformers are loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["feathertune.run.train", "transformers.models.bert.modeling_bert"])
    process = context.Process(target=target, args=(recipe, output, argument))
    process.start()
    return process


def finish(recipe: Path, output: Path) -> None:
    process = start(recipe, output)
    process.join(timeout=120)
    assert process.exitcode == 0


def steps_saved(output: Path) -> int:
    return max((int(path.name.removeprefix("step-")) for path in output.glob("checkpoints/step-*")), default=0)


def kill_after(recipe: Path, output: Path, step: int, delay: float) -> None:
    """Train until the checkpoint of `step` exists and `delay` seconds longer, then kill the process."""
    process = start(recipe, output)
    deadline = time.monotonic() + 120
    while steps_saved(output) < step and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(delay)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "it must be killed before it finishes"
    assert not (output / "summary.json").exists()


def without_timings(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_timings(inner) for key, inner in value.items() if key not in TIMINGS}
    return value


def log_of(output: Path) -> list[Any]:
    return [without_timings(json.loads(line)) for line in (output / "metrics.jsonl").read_text().splitlines()]


def test_killed_four_times_and_resumed(recipe: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(recipe, whole)
    for step, delay in ((1, 0.001), (11, 0.004), (24, 0.0), (40, 0.007)):
        kill_after(recipe, killed, step, delay)
    finish(recipe, killed)

    (best,) = whole.glob("checkpoints/best-epoch-*.safetensors")
    for name in (
        "adapter/adapter_model.safetensors",
        "predictions/after-validation.csv",
        f"checkpoints/{best.name}",
    ):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert log_of(killed) == log_of(whole)
    assert [entry["step"] for entry in log_of(whole) if entry["event"] == "epoch"] == [12, 24, 36, 48]
    summaries = [without_timings(json.loads((run / "summary.json").read_text())) for run in (whole, killed)]
    assert summaries[0] == summaries[1]
    assert steps_saved(killed) == steps_saved(whole) == STEPS


def test_another_recipe_does_not_resume_a_killed_run(recipe: Path, tmp_path: Path) -> None:
    from feathertune.data.columns import with_columns
    from feathertune.errors import UserError
    from feathertune.recipe.files import load_recipe
    from feathertune.run.train import train

    kill_after(recipe, tmp_path / "run", step=3, delay=0.0)
    with pytest.raises(UserError, match="made with another recipe"):
        train(load_recipe(recipe, ["training.learning_rate=0.02"]), tmp_path / "run", resume=True)
    assert load_recipe(tmp_path / "run" / "recipe.yaml") == with_columns(load_recipe(recipe)), (
        "the run keeps its recipe"
    )


@pytest.mark.parametrize("name", ["recipe.yaml", "metrics.jsonl", "environment.json"])
def test_a_kill_while_the_first_files_are_written_does_not_block_the_folder(
    recipe: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "run"
    process = start(recipe, output, train_until_killed, name)
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    (left,) = output.glob(f".{name}.*.tmp")
    mine = output / ".notes.tmp" if name != "recipe.yaml" else tmp_path / ".notes.tmp"
    mine.touch()
    from feathertune.folders.output import stored_recipe

    assert (stored_recipe(output, "run") is None) == (name == "recipe.yaml"), "new while there is no recipe"
    for kind in ("comparison", "search"):
        assert name != "recipe.yaml" or stored_recipe(output, kind) is None
    finish(recipe, output)
    assert not left.exists()
    assert mine.exists()
    assert (output / "summary.json").is_file()
