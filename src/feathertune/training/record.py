"""What a run writes while it trains: lines of metrics.jsonl, checkpoints, and the best epoch's weights."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from feathertune.system.files import write_text
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
    """Where training writes: the log of metrics, the checkpoints. `fingerprint` ties a checkpoint to its run."""

    metrics: Path
    checkpoints: Path
    fingerprint: str

    def best(self, epoch: int) -> Path:
        """The weights of the best epoch. Each epoch has its own file: none that a checkpoint means is replaced."""
        return self.checkpoints / f"best-epoch-{epoch}.safetensors"

    @property
    def unnumbered_best(self) -> Path:
        """Where earlier versions kept them, whichever epoch's they were."""
        return self.checkpoints / "best.safetensors"


class Recorder:
    """Keeps the record of one run; of several processes, only the first one `writes`."""

    def __init__(
        self,
        places: TrainingPaths,
        weights: dict[str, torch.Tensor],
        optimizer: Any,
        checkpoint_seconds: float,
        writes: bool,
    ) -> None:
        self._places, self._weights, self._optimizer = places, weights, optimizer
        self._checkpoint_seconds, self._writes = checkpoint_seconds, writes
        self._last_save = time.monotonic()

    def begin(self, *, resume: bool) -> Progress:
        """How far the run has come: its latest checkpoint, put in place, or nothing.

        Raises:
            UserError: the checkpoint is another run's.
        """
        checkpoint = latest_checkpoint(self._places.checkpoints) if resume else None
        progress = Progress()
        if checkpoint is not None:
            progress = load_checkpoint(checkpoint, self._weights, self._optimizer, self._places.fingerprint)
        if self._writes:
            _trim_log(self._places.metrics, progress.step)
            for orphan in self._places.checkpoints.glob(".*.tmp"):  # what a kill in the middle of a write has left
                orphan.unlink() if orphan.is_file() else shutil.rmtree(orphan)
            if progress.best_epoch and self._places.unnumbered_best.is_file():
                self._places.unnumbered_best.rename(self._places.best(progress.best_epoch))
            self._forget_other_bests(progress)
        return progress

    def after_step(self, progress: Progress, entry: dict[str, Any], *, may_save: bool) -> None:
        """Log every few steps; save a checkpoint if the last one is a while ago and `may_save`."""
        if not self._writes:
            return
        if progress.step % _LOG_EVERY == 0:
            _log(self._places.metrics, entry)
        if may_save and time.monotonic() - self._last_save > self._checkpoint_seconds:
            self._save(progress)

    def after_epoch(self, progress: Progress, entry: dict[str, Any], *, best: bool) -> None:
        """Log the epoch, keep its weights where they are the best so far, save a checkpoint.

        What the latest checkpoint calls the best epoch's weights goes only once another checkpoint is there: killed at
        any moment, the two agree.
        """
        if not self._writes:
            return
        _log(self._places.metrics, entry)
        if best:
            save_weights(self._places.best(progress.best_epoch), self._weights)
        self._save(progress)
        self._forget_other_bests(progress)

    def restore_best(self, progress: Progress) -> None:
        """Put the best epoch's weights in place."""
        load_weights(self._places.best(progress.best_epoch), self._weights)

    def _forget_other_bests(self, progress: Progress) -> None:
        """Remove the weights of epochs that were the best once, or that a kill left without a checkpoint."""
        for path in self._places.checkpoints.glob("best*.safetensors"):
            if path != self._places.best(progress.best_epoch):
                path.unlink()

    def _save(self, progress: Progress) -> None:
        save_checkpoint(self._places.checkpoints, self._weights, self._optimizer, progress, self._places.fingerprint)
        self._last_save = time.monotonic()


def _log(path: Path, entry: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, allow_nan=False) + "\n")


def _trim_log(path: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run takes again, and a line torn by the crash."""
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
