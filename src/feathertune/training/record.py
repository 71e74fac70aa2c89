"""What training writes: lines of metrics.jsonl, checkpoints, and the best epoch's weights."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from feathertune.system.files import write_text
from feathertune.system.temporary import remove_left_in
from feathertune.training.checkpoint import (
    Progress,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)

_LOG_EVERY = 10  # optimizer steps between lines of metrics.jsonl


@dataclass(frozen=True)
class TrainingPaths:
    """Where training writes its log of metrics and its checkpoints. `fingerprint` ties a checkpoint to its run."""

    metrics: Path
    checkpoints: Path
    fingerprint: str

    def best(self, epoch: int) -> Path:
        """The weights of the best epoch. Each epoch has its own file: what a checkpoint refers to stays."""
        return self.checkpoints / f"best-epoch-{epoch}.safetensors"

    @property
    def unnumbered_best(self) -> Path:
        """Where earlier versions kept them, for any epoch."""
        return self.checkpoints / "best.safetensors"


class Recorder:
    """Writes the record of one training; of several processes, only the first `writes`."""

    def __init__(
        self,
        paths: TrainingPaths,
        weights: dict[str, torch.Tensor],
        optimizer: Any,
        checkpoint_seconds: float,
        writes: bool,
    ) -> None:
        self._paths, self._weights, self._optimizer = paths, weights, optimizer
        self._checkpoint_seconds, self._writes = checkpoint_seconds, writes
        self._last_save = time.monotonic()

    def begin(self, *, resume: bool) -> Progress:
        """The progress so far: that of the latest checkpoint, which is loaded, or none.

        Raises:
            UserError: the checkpoint belongs to another run.
        """
        checkpoint = latest_checkpoint(self._paths.checkpoints) if resume else None
        progress = Progress()
        if checkpoint is not None:
            progress = load_checkpoint(checkpoint, self._weights, self._optimizer, self._paths.fingerprint)
        if self._writes:
            _trim_log(self._paths.metrics, progress.step)
            remove_left_in(self._paths.checkpoints)
            if progress.best_epoch and self._paths.unnumbered_best.is_file():
                self._paths.unnumbered_best.rename(self._paths.best(progress.best_epoch))
            self._remove_other_bests(progress)
        return progress

    def after_step(self, progress: Progress, entry: dict[str, Any], *, may_save: bool) -> None:
        """Log every few steps; save a checkpoint if the last one is old enough and `may_save`."""
        if not self._writes:
            return
        if progress.step % _LOG_EVERY == 0:
            _log(self._paths.metrics, entry)
        if may_save and time.monotonic() - self._last_save > self._checkpoint_seconds:
            self._save(progress)

    def after_epoch(self, progress: Progress, entry: dict[str, Any], *, best: bool) -> None:
        """Log the epoch, keep its weights if they are the best so far, save a checkpoint.

        The best weights that the latest checkpoint refers to are removed only once a newer checkpoint exists, so the
        two agree whenever the process is killed.
        """
        if not self._writes:
            return
        _log(self._paths.metrics, entry)
        if best:
            save_weights(self._paths.best(progress.best_epoch), self._weights)
        self._save(progress)
        self._remove_other_bests(progress)

    def restore_best(self, progress: Progress) -> None:
        """Load the best epoch's weights."""
        load_weights(self._paths.best(progress.best_epoch), self._weights)

    def _remove_other_bests(self, progress: Progress) -> None:
        """Remove the weights of earlier best epochs, and those that a kill left without a checkpoint."""
        for path in self._paths.checkpoints.glob("best*.safetensors"):
            if path != self._paths.best(progress.best_epoch):
                path.unlink()

    def _save(self, progress: Progress) -> None:
        save_checkpoint(self._paths.checkpoints, self._weights, self._optimizer, progress, self._paths.fingerprint)
        self._last_save = time.monotonic()


def _log(path: Path, entry: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, allow_nan=False) + "\n")


def _trim_log(path: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run repeats, and a line torn by a crash."""
    kept = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if entry["step"] <= step:
                kept.append(line + "\n")
    write_text(path, "".join(kept))
