"""Threads are prepared when feathertune is imported, before torch reads the environment."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from feathertune.system import threads

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
SHOW = f"import os, json; print(json.dumps({{name: os.environ.get(name) for name in {NAMES}}}))"


def seen(program: str, **environment: str) -> Any:
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", f"{program}; {SHOW}"]
    done = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_feathertune_sets_how_threads_wait_and_keeps_what_was_set() -> None:
    assert seen("import feathertune")["GOMP_SPINCOUNT"] == str(threads.SPINS)
    assert seen("import feathertune", OMP_WAIT_POLICY="active")["GOMP_SPINCOUNT"] is None
    assert seen("import feathertune", GOMP_SPINCOUNT="7")["GOMP_SPINCOUNT"] == "7"
    assert seen("import sys; sys.modules['torch'] = None; import feathertune")["GOMP_SPINCOUNT"] is None


def test_a_quota_limits_the_threads_of_torch_and_of_the_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(threads, "usable_cores", lambda: 3)
    monkeypatch.setattr(os, "environ", {"RAYON_NUM_THREADS": "2"})
    threads.prepare_threads()
    assert os.environ == {"GOMP_SPINCOUNT": str(threads.SPINS), "OMP_NUM_THREADS": "3", "RAYON_NUM_THREADS": "2"}
