"""Telling a person how training goes: a live bar on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

from typing import Any, Protocol


class Reporter(Protocol):
    """What a run tells while it goes on. What `epoch` raises ends the run: the epoch is recorded by then."""

    def say(self, line: str) -> None:
        """Something worth knowing, in one line."""

    def start(self, total_steps: int, done_steps: int) -> None:
        """Training begins, or goes on after `done_steps`."""

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """An optimizer step is done."""

    def epoch(self, epoch: int, train_loss: float, validation: dict[str, Any], best: bool) -> None:
        """An epoch is done and evaluated."""

    def stop(self) -> None:
        """Training is over, or broke off."""


class SilentReporter:
    """Says nothing: for library use and for processes other than the first."""

    def say(self, line: str) -> None:
        """Nothing."""

    def start(self, total_steps: int, done_steps: int) -> None:
        """Nothing."""

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """Nothing."""

    def epoch(self, epoch: int, train_loss: float, validation: dict[str, Any], best: bool) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""
