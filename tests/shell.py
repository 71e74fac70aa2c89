"""The command line for tests: in this process, or in a process of its own."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from feathertune.cli.app import main


@dataclass(frozen=True)
class Result:
    """What a shell would see."""

    returncode: int
    stdout: str
    stderr: str


def feathertune(*arguments: str, cwd: Path) -> Result:
    """Run the command line in this process, in the folder `cwd`; importing torch again each time would take seconds."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["feathertune", *arguments]
    try:
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = argv
    return Result(code, out.getvalue(), err.getvalue())


def as_process(*arguments: str, cwd: Path) -> Result:
    """Run the command in a process of its own, as a shell would."""
    command = [sys.executable, "-W", "error::UserWarning", "-m", "feathertune.cli", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    return Result(done.returncode, done.stdout, done.stderr)
