"""Measuring one turn: a process of its own, a clock that excludes the warm-up, and peak memory.

The process of a turn is forked from a server that has imported the libraries but computed nothing. So imports are not
timed, global settings ('medium', threads) end with the turn, and the memory of the imports is the same for all.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from feathertune.system.machine import peak_memory_mib

_IMPORTED = [
    *("torch", "peft", "accelerate", "transformers.trainer", "transformers.pipelines.text_classification"),
    *(f"transformers.models.{name}.modeling_{name}" for name in ("gpt2", "bert", "llama")),
    *("feathertune.training.loop", "feathertune.prediction.inference"),
]
_MAX_WARM_UP_STEPS = 40
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, computed in a process of its own. Both must be picklable."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(_IMPORTED)
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(function, *arguments).result()


def quieten() -> None:
    """Silence everything but errors of the libraries in this process."""
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def progress(line: str) -> None:
    """Print one line of progress on stderr."""
    print(f"  {line}", file=sys.stderr, flush=True)


class StepClock:
    """Times training steps after a warm-up, and ends the turn when enough have been timed.

    The warm-up lasts `warm_up` seconds (2 to 40 steps): kernels are compiled for each new number of tokens, which
    hardly matters in a training of hundreds of steps. Then `steps` steps are timed, but only those that begin within
    `seconds`; at least two, or a single one that takes twice as long as that.
    """

    def __init__(self, steps: int, seconds: float, warm_up: float) -> None:
        self.steps, self.seconds, self.warm_up = steps, seconds, warm_up
        self.timed: list[float] = []
        self.peak_before_mib = 0.0  # peak memory before the first timed step
        self._warming, self._warmed = True, 0
        self._began = self._last = 0.0

    @property
    def max_steps(self) -> int:
        """The largest number of steps of a turn, including the warm-up."""
        return _MAX_WARM_UP_STEPS + max(2, self.steps)

    def start(self) -> None:
        """Mark the start of the first step."""
        self._began = self._last = time.perf_counter()

    def tick(self) -> bool:
        """Mark the end of a step and the start of the next one. Returns whether the turn is over."""
        now = time.perf_counter()
        step, self._last = now - self._last, now
        if self._warming:
            self._warmed += 1
            if self._warmed >= 2 and (now - self._began >= self.warm_up or self._warmed == _MAX_WARM_UP_STEPS):
                self._warming = False
                self.peak_before_mib = peak_mib()
                reset_peak_memory()
                self._last = time.perf_counter()
            return False
        self.timed.append(step)
        seconds = sum(self.timed)
        enough = len(self.timed) >= self.steps or seconds >= self.seconds
        return (len(self.timed) >= 2 and enough) or seconds >= 2 * self.seconds


def peak_mib() -> float:
    """The peak memory of this process in MiB, since its start or since `reset_peak_memory`."""
    if not _STATUS.is_file():
        return peak_memory_mib()
    # Not getrusage, whose value for a child process includes its parent.
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def reset_peak_memory() -> None:
    """Restart `peak_mib` on Linux; elsewhere it remains the peak since the start of the process."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def in_columns(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells as a text table. The first column is left-aligned; a row with one cell is a heading."""
    complete = [row for row in rows if len(row) > 1]
    widths = [max(len(row[column]) for row in complete) for column in range(len(complete[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
