"""Training progress for a person: a live bar on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from feathertune.wording.duration import duration

_SECONDS_BETWEEN_LINES = 15.0


class ConsoleReporter:
    """Loss, examples/s and time left: as a bar where `console` is a terminal, else as a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: Any = None
        self._total = 0
        self._begun = self._last_line = time.monotonic()
        self._done_before = 0

    def say(self, line: str) -> None:
        """Print the line."""
        self._print(line)

    def start(self, total_steps: int, done_steps: int) -> None:
        """Show the bar, or say how many steps there will be."""
        self._total, self._done_before = total_steps, done_steps
        self._begun = self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=total_steps, completed=done_steps, told="")

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        """Move the bar, or print a line if the last one is a while ago."""
        if self._bar is not None:
            told = f"loss {loss:.3f}  {examples_per_second:.0f} examples/s"
            self._bar.update(self._task, completed=step, told=told)
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._begun) / max(1, step - self._done_before) * (self._total - step)
            self._print(
                f"step {step}/{self._total}  loss {loss:.4f}  {examples_per_second:.0f} examples/s  "
                f"{duration(left)} left"
            )

    def epoch(self, epoch: int, train_loss: float, validation: dict[str, Any], best: bool) -> None:
        """One line an epoch."""
        self._print(
            f"epoch {epoch}  train loss {train_loss:.4f}  validation loss {validation['loss']:.4f}  "
            f"accuracy {validation['accuracy']:.2%}  F1 {validation['f1']:.2%}" + ("  (best so far)" if best else "")
        )

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
