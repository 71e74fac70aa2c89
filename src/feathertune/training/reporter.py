"""Reporting the progress of a run. `terminal.progress` shows it to a person."""

from __future__ import annotations

from typing import Protocol

from feathertune.folders.metrics import Metrics


class Reporter(Protocol):
    """Reports the progress of a run. An exception raised by `epoch` ends the run; the epoch is recorded by then."""

    def say(self, line: str) -> None:
        """Report one line of information."""

    def start(self, total_steps: int, done_steps: int) -> None:
        """Training starts, or continues after `done_steps`."""

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """An optimizer step is finished."""

    def epoch(self, epoch: int, train_loss: float, validation: Metrics, best: bool) -> None:
        """An epoch is finished and evaluated."""

    def stop(self) -> None:
        """Training ended, or was interrupted."""


class SilentReporter:
    """Reports nothing: for library use and for processes other than the first."""

    def say(self, line: str) -> None:
        """Nothing."""

    def start(self, total_steps: int, done_steps: int) -> None:
        """Nothing."""

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """Nothing."""

    def epoch(self, epoch: int, train_loss: float, validation: Metrics, best: bool) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""
