"""Checkpoints: everything a run needs to continue as if it had never stopped. Tensors in safetensors, the rest in JSON.

```
checkpoints/best-epoch-N.safetensors  the trained weights of the best epoch so far, N being state.json's best_epoch
checkpoints/step-NNNNNN/weights.safetensors, optimizer.safetensors, state.json
```
Random states are not stored: order and dropout are functions of seed, epoch and step.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from feathertune.errors import UserError
from feathertune.model.tensors import read_tensors
from feathertune.system.files import (
    atomic_path,
    file_mask,
    fsync_folder,
    read_json,
    write_json,
)
from feathertune.system.temporary import temporary_folder
from feathertune.training.optimizer import Plateau


@dataclass(frozen=True)
class Progress:
    """How far training has come.

    Attributes:
        step: optimizer steps done.
        epoch: epochs done.
        steps_in_epoch: steps done in the current epoch.
        loss_sum, examples: of the current epoch, for its mean training loss.
        best_epoch, best_value, best_loss: the best epoch so far, its value of the recipe's metric and its validation
            loss, which breaks ties (0 and None before the first).
        plateau: state of the plateau schedule.
        train_seconds, examples_seen: of training steps only, over all sessions of this run.
    """

    step: int = 0
    epoch: int = 0
    steps_in_epoch: int = 0
    loss_sum: float = 0.0
    examples: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    best_loss: float | None = None
    plateau: Plateau = field(default_factory=Plateau)
    train_seconds: float = 0.0
    examples_seen: int = 0


def save_checkpoint(
    folder: Path, weights: dict[str, torch.Tensor], optimizer: Any, progress: Progress, fingerprint: str
) -> None:
    """Write `folder/step-NNNNNN` (temporary name, then a rename); remove the others."""
    from safetensors.torch import save_file

    final = folder / f"step-{progress.step:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_folder(final)
    save_weights(temporary / "weights.safetensors", weights)
    with atomic_path(temporary / "optimizer.safetensors") as path:
        save_file(_flatten(optimizer.state_dict()["state"]), path)
    state = asdict(progress)
    if not math.isfinite(state["plateau"]["best_loss"]):
        state["plateau"]["best_loss"] = None  # JSON has no infinity
    write_json(temporary / "state.json", {"progress": state, "fingerprint": fingerprint})
    shutil.rmtree(final, ignore_errors=True)
    temporary.chmod(0o777 & ~file_mask())  # mkdtemp creates private folders
    temporary.rename(final)
    fsync_folder(folder)
    for old in folder.glob("step-*"):
        if old.name != final.name:
            shutil.rmtree(old, ignore_errors=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps, or None."""
    complete = [path for path in folder.glob("step-*") if (path / "state.json").is_file()]
    return max(complete, key=lambda path: int(path.name.removeprefix("step-")), default=None)


def load_checkpoint(checkpoint: Path, weights: dict[str, torch.Tensor], optimizer: Any, fingerprint: str) -> Progress:
    """Load a checkpoint's weights and optimizer state in place and return its progress.

    Raises:
        UserError: it belongs to another recipe or to other data, or a file is damaged.
    """
    check_fingerprint(checkpoint, fingerprint)
    stored = read_json(checkpoint / "state.json")
    load_weights(checkpoint / "weights.safetensors", weights)
    state = optimizer.state_dict()
    state["state"] = _unflatten(read_tensors(checkpoint / "optimizer.safetensors"))
    optimizer.load_state_dict(state)
    progress = dict(stored["progress"])
    plateau = progress.pop("plateau")
    if plateau["best_loss"] is None:
        plateau["best_loss"] = math.inf
    return Progress(**progress, plateau=Plateau(**plateau))


def check_fingerprint(checkpoint: Path, fingerprint: str) -> None:
    """Raise UserError unless the checkpoint was made with the recipe, data and base behind `fingerprint`."""
    if read_json(checkpoint / "state.json")["fingerprint"] != fingerprint:
        raise UserError(
            "the checkpoint was made with another recipe, other data, another base model or another number of "
            "processes",
            where=str(checkpoint),
            fix="Resume with the recipe and the number of processes that it was started with, or train into another "
            "folder.",
        )


def save_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write named tensors to one safetensors file, atomically."""
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary)


def load_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Copy a safetensors file's tensors into the live ones of the same names. Raises UserError if it is damaged."""
    stored = read_tensors(path)
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(stored[name])


def _flatten(state: dict[int, dict[str, Any]]) -> dict[str, torch.Tensor]:
    """{parameter index: {name: tensor}} -> {'index.name': tensor}."""
    return {
        f"{index}.{name}": torch.as_tensor(value).detach().cpu().contiguous()
        for index, values in state.items()
        for name, value in values.items()
    }


def _unflatten(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    return state
