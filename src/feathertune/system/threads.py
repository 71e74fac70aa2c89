"""How the threads of the libraries behave: set before torch is imported, since OpenMP reads it when it is loaded."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from feathertune.system.cores import usable_cores

# How often a thread of GNU's OpenMP looks for work before it sleeps, where other processes want the cores. By default
# it looks for milliseconds, at every small product: best on an idle machine, but beside a busy process it takes that
# one's time, and then its own when that wants it back (docs/LOG.md).
SPINS = 1_000
_LOOKS, _PAUSE = 5, 0.002  # how often it is looked whether others run, and the seconds between
_LOAD = Path("/proc/loadavg")


def prepare_threads() -> None:
    """Let there be no more threads than the process has cores, which do not spin for long on a busy machine.

    What the environment says already stays. Without effect once torch is imported.
    """
    if "torch" in sys.modules:
        return
    cores = usable_cores()
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys() and is_busy(cores):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    if cores < (os.cpu_count() or 1):
        for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):  # torch's and the tokenizer's
            os.environ.setdefault(name, str(cores))


def is_busy(cores: int, load: Path = _LOAD) -> bool:
    """Whether other processes leave fewer than `cores` of the machine's cores free, each time one looks.

    Args:
        cores: how many are wanted.
        load: Linux's file, whose fourth field is `running/all`; elsewhere the answer is no.
    """
    for _ in range(_LOOKS):
        try:
            others = int(load.read_text(encoding="ascii").split()[3].partition("/")[0]) - 1  # without this process
        except (OSError, ValueError, IndexError):
            return False
        if (os.cpu_count() or 1) - others >= cores:
            return False
        time.sleep(_PAUSE)
    return True
