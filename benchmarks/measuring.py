"""One contender's turn: in a process of its own, with a clock that leaves the warm-up out, and its peak memory.

A turn's process is forked from a server that has imported the libraries and computed nothing. So a turn does not wait
for imports, its global settings ('medium', threads) end with it, and the memory that the imports take is the same for
every contender.
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
    """`function(*arguments)`, computed in a process that ends with it. Both must be picklable."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(_IMPORTED)
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(function, *arguments).result()


def quieten() -> None:
    """Let the libraries of this process say nothing that is not an error."""
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def tell(line: str) -> None:
    """One line of progress, on stderr."""
    print(f"  {line}", file=sys.stderr, flush=True)


class StepClock:
    """Times training steps after a warm-up, and says when a turn has had enough of them.

    The warm-up lasts `warm_up` seconds (2 to 40 steps): kernels are compiled for each new number of tokens, which a
    training of hundreds of steps does once. After it, `steps` steps are timed, but no more than what begins within
    `seconds`, and at least two, or one that takes twice as long as that.
    """

    def __init__(self, steps: int, seconds: float, warm_up: float) -> None:
        self.steps, self.seconds, self.warm_up = steps, seconds, warm_up
        self.timed: list[float] = []
        self.peak_before_mib = 0.0  # the most memory held before the first timed step
        self._warming, self._warmed = True, 0
        self._began = self._last = 0.0

    @property
    def most_steps(self) -> int:
        """How many steps a turn can take, warm-up included."""
        return _MAX_WARM_UP_STEPS + max(2, self.steps)

    def start(self) -> None:
        """The first step begins."""
        self._began = self._last = time.perf_counter()

    def tick(self) -> bool:
        """A step has ended and the next one begins; returns whether the turn is over."""
        now = time.perf_counter()
        step, self._last = now - self._last, now
        if self._warming:
            self._warmed += 1
            if self._warmed >= 2 and (now - self._began >= self.warm_up or self._warmed == _MAX_WARM_UP_STEPS):
                self._warming = False
                self.peak_before_mib = peak_mib()
                forget_peak_memory()
                self._last = time.perf_counter()
            return False
        self.timed.append(step)
        seconds = sum(self.timed)
        enough = len(self.timed) >= self.steps or seconds >= self.seconds
        return (len(self.timed) >= 2 and enough) or seconds >= 2 * self.seconds


def peak_mib() -> float:
    """The most memory that this process has held, in MiB, since it began or since `forget_peak_memory`."""
    if not _STATUS.is_file():
        return peak_memory_mib()
    # Not getrusage: what it says of a child includes its parent.
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def forget_peak_memory() -> None:
    """Let `peak_mib` begin anew where Linux can do that (elsewhere it stays the whole process's)."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def in_columns(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells as a text table; the first column is left-aligned, and a row of one cell is a heading."""
    full = [row for row in rows if len(row) > 1]
    widths = [max(len(row[column]) for row in full) for column in range(len(full[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
