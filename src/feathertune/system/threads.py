"""How the threads of the libraries behave: set before torch is imported, since OpenMP reads it when it is loaded."""

from __future__ import annotations

import os
import sys

from feathertune.system.cores import usable_cores

# How often a thread of GNU's OpenMP looks for work before it sleeps. By default it looks for milliseconds, at every
# small product, which takes the time of other processes, and then of its own when those want it back (docs/LOG.md).
SPINS = 1_500


def prepare_threads() -> None:
    """Let threads wait without spinning for long, and let there be no more than the process has cores.

    What the environment says already stays. Without effect once torch is imported.
    """
    if "torch" in sys.modules:
        return
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    if (cores := usable_cores()) < (os.cpu_count() or 1):
        for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):  # torch's and the tokenizer's
            os.environ.setdefault(name, str(cores))
