"""Making the runs of a comparison, each in a process of its own, so that its memory and time are its own.

A finished run is kept, an unfinished one goes on from its last checkpoint; both only with the recipe planned for them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence

from feathertune.comparison.plan import PlannedRun, check_same_recipe
from feathertune.errors import UserError
from feathertune.model.sources import changed_file
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.system.files import read_json, write_text
from feathertune.training.reporter import Reporter

_LAST_LINES = 15


def make_runs(runs: Sequence[PlannedRun], reporter: Reporter, *, show: bool) -> None:
    """Make those of the runs that are not finished, one after the other.

    Args:
        show: let what each process says reach this one's stderr.

    Raises:
        UserError: a run in the folder has another recipe, or was made with other data or another base; a run failed
            by the user's fault or was killed. What is finished stays.
        RuntimeError: a run failed by a fault of ours.
    """
    for run in runs:
        if run.folder.recipe.is_file():
            check_same_recipe(run, load_recipe(run.folder.recipe))
    check_same_inputs([run for run in runs if run.finished])
    for number, run in enumerate(runs, start=1):
        name = f"{run.method}, seed {run.seed} ({number} of {len(runs)})"
        if run.finished:
            reporter.say(f"{name}: finished before, kept")
            continue
        reporter.say(f"{name}: {'goes on' if run.folder.recipe.is_file() else 'begins'}")
        _make(run, show=show)
        check_same_inputs([other for other in runs if other.finished])


def check_same_inputs(runs: Sequence[PlannedRun]) -> None:
    """Raise a UserError where finished runs were made on different data or with different bases."""
    first_data, first_base = None, None
    for run in runs:
        data = read_json(run.folder.data)
        data = {"origin": data["origin"], "counts": {name: part["count"] for name, part in data["splits"].items()}}
        base = read_json(run.folder.base)["sha256"] if run.folder.base.is_file() else None
        first_data, first_base = first_data or data, first_base or base
        # both ways: one of them may be of an earlier version, which stored fewer files
        other_base = base and first_base and changed_file(first_base, base) and changed_file(base, first_base)
        for what, changed in (("data", data != first_data), ("a base model", other_base)):
            if changed:
                raise UserError(
                    f"the run was made with {what} that has changed since",
                    where=str(run.folder.path),
                    fix="Compare in another folder, or put the old files back.",
                )


def _make(run: PlannedRun, *, show: bool) -> None:
    """Train by the recipe in the run's folder. Raises what `make_runs` does."""
    run.folder.path.mkdir(parents=True, exist_ok=True)
    if not run.folder.recipe.is_file():
        write_text(run.folder.recipe, dump_recipe(run.recipe))
    status, said = launch(["train", str(run.folder.recipe), "--output", str(run.folder.path), "--resume"], show=show)
    if status == 0:
        return
    if [path.name for path in run.folder.path.iterdir()] == [run.folder.recipe.name]:  # it was refused at once
        shutil.rmtree(run.folder.path)
    where = str(run.folder.path)
    if status == 2:
        raise UserError(f"the run stopped: {said}", where=where)
    if status < 0:
        raise UserError(
            f"the run was killed by signal {-status}",
            where=where,
            fix="If memory ran out, lower training.batch_size. The same command goes on; finished runs are kept.",
        )
    raise RuntimeError(f"{where}: the run failed with status {status}: {said}")


def launch(arguments: list[str], *, show: bool) -> tuple[int, str]:
    """Run a command of ours in a process of its own: its exit status (-N: killed by signal N), and what it said."""
    command = [sys.executable, "-m", "feathertune.cli.app", *arguments]
    stderr = None if show else subprocess.PIPE
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=stderr, check=False)  # noqa: S603 - our own
    if show:
        return done.returncode, "see above"
    lines = done.stderr.decode(errors="replace").splitlines()[-_LAST_LINES:]
    return done.returncode, "\n  ".join(lines).removeprefix("feathertune: ")
