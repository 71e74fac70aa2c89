"""The progress of a training: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from feathertune.folders.metrics import Metrics
from feathertune.wording.duration import duration

SECONDS_BETWEEN_LINES = 15.0


class ConsoleReporter:
    """Prints loss, examples/s and time left: as a bar if `console` is a terminal, else as a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: Any = None
        self._total = 0
        self._started = self._last_line = time.monotonic()
        self._done_before = 0

    def say(self, line: str) -> None:
        """Print the line."""
        self._print(line)

    def start(self, total_steps: int, done_steps: int) -> None:
        """Show the bar, if there is one, at `done_steps` of `total_steps`."""
        self._total, self._done_before = total_steps, done_steps
        self._started = self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[status]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=total_steps, completed=done_steps, status="")

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """Move the bar; without one, print a line if the last one was printed a while ago."""
        if self._bar is not None:
            status = f"loss {loss:.3f}  {examples_per_second:.0f} examples/s"
            self._bar.update(self._task, completed=step, status=status)
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._started) / max(1, step - self._done_before) * (self._total - step)
            self._print(
                f"step {step}/{self._total}  loss {loss:.4f}  {examples_per_second:.0f} examples/s  "
                f"{duration(left)} left"
            )

    def epoch(self, epoch: int, train_loss: float, validation: Metrics, best: bool) -> None:
        """Print one line for the epoch."""
        self._print(
            f"epoch {epoch}  train loss {train_loss:.4f}  validation loss {validation.loss:.4f}  "
            f"accuracy {validation.accuracy:.2%}  F1 {validation.f1:.2%}" + ("  (best so far)" if best else "")
        )

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
