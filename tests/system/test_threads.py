"""Threads are prepared when feathertune is imported, before torch reads the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feathertune.system import threads

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")


def seen(program: str, **environment: str) -> Any:
    """The variables after a program of a new process."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    show = f"import os, json; print(json.dumps({{name: os.environ.get(name) for name in {NAMES}}}))"
    command = [sys.executable, "-c", f"{program}; {show}"]
    done = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Any:
    """(whether the machine is busy, the environment before) -> the environment after."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)

    def prepare(busy: bool, cores: int = 2, **environment: str) -> dict[str, str]:
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        monkeypatch.setattr(threads, "usable_cores", lambda: cores)
        monkeypatch.setattr(threads, "is_busy", lambda _: busy)
        monkeypatch.setattr(os, "environ", dict(environment))
        threads.prepare_threads()
        return dict(os.environ)

    return prepare


def test_on_a_busy_machine_waiting_threads_sleep_soon(prepared: Any) -> None:
    assert prepared(True) == {"GOMP_SPINCOUNT": str(threads.SPINS)}
    assert prepared(False) == {}
    assert prepared(True, OMP_WAIT_POLICY="active") == {"OMP_WAIT_POLICY": "active"}
    assert prepared(True, GOMP_SPINCOUNT="7") == {"GOMP_SPINCOUNT": "7"}


def test_a_quota_limits_the_threads_of_torch_and_of_the_tokenizer(prepared: Any) -> None:
    assert prepared(False, 1, RAYON_NUM_THREADS="2") == {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "2"}


def test_where_torch_is_loaded_nothing_is_set(prepared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    assert prepared(True, 1) == {}


@pytest.mark.parametrize(
    ("running", "cores", "busy"),
    [("1/200", 2, False), ("2/200", 2, True), ("2/200", 1, False), ("3/200", 1, True), ("nonsense", 2, False)],
)
def test_it_is_busy_where_others_leave_too_few_cores(
    running: str, cores: int, busy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (tmp_path / "loadavg").write_text(f"0.10 0.20 0.30 {running} 4711\n")
    assert threads.is_busy(cores, tmp_path / "loadavg") is busy
    assert not threads.is_busy(cores, tmp_path / "missing")


@pytest.mark.skipif(not threads._LOAD.exists(), reason="this system has no /proc/loadavg")
@pytest.mark.skipif(
    threads.usable_cores() < (os.cpu_count() or 1), reason="the machine has more cores than this process"
)
def test_importing_feathertune_beside_busy_processes() -> None:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        assert seen("import feathertune")["GOMP_SPINCOUNT"] == str(threads.SPINS)
    finally:
        for other in others:
            other.kill()
            other.wait()
