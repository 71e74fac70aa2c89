"""Making the runs of a comparison, each in a process of its own, so that memory and time can be measured separately.

Finished runs are kept, unfinished ones resume from their last checkpoint; both only if their recipe is the planned one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence

from feathertune.comparison.plan import PlannedRun, check_same_recipe
from feathertune.errors import UserError
from feathertune.folders.inputs import BaseRecord, DataRecord
from feathertune.model.sources import changed_file
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.system.files import write_text
from feathertune.training.reporter import Reporter

_LAST_LINES = 15


def make_runs(runs: Sequence[PlannedRun], reporter: Reporter, *, show: bool) -> None:
    """Make the runs that are not finished, one after the other.

    Args:
        show: pass on the stderr of each process.

    Raises:
        UserError: a run in the folder has another recipe, or was made with other data or another base; or a run was
            killed or failed with an error that the user can fix. Finished runs stay.
        RuntimeError: a run failed with an error of ours.
    """
    for run in runs:
        if run.folder.recipe.is_file():
            check_same_recipe(run, load_recipe(run.folder.recipe))
    check_same_inputs([run for run in runs if run.finished])
    for number, run in enumerate(runs, start=1):
        name = f"{run.method}, seed {run.seed} ({number} of {len(runs)})"
        if run.finished:
            reporter.say(f"{name}: already finished")
            continue
        reporter.say(f"{name}: {'resuming' if run.folder.recipe.is_file() else 'starting'}")
        _make(run, show=show)
        check_same_inputs([other for other in runs if other.finished])


def check_same_inputs(runs: Sequence[PlannedRun]) -> None:
    """Raise a UserError if finished runs were made with different data or different bases."""
    first_data, first_base = None, None
    for run in runs:
        record = DataRecord.read(run.folder.data)
        data = record.origin, {name: split.count for name, split in record.splits.items()}
        base = BaseRecord.read(run.folder.base).sha256 if run.folder.base.is_file() else None
        first_data, first_base = first_data or data, first_base or base
        # in both directions: one of them may be from an earlier version, which stored fewer files
        other_base = base and first_base and changed_file(first_base, base) and changed_file(base, first_base)
        for what, changed in (("data", data != first_data), ("a base model", other_base)):
            if changed:
                raise UserError(
                    f"the run was made with {what} that has changed since",
                    where=str(run.folder.path),
                    fix="Compare in another folder, or restore the old files.",
                )


def _make(run: PlannedRun, *, show: bool) -> None:
    """Train with the recipe in the run's folder. Raises as `make_runs` does."""
    run.folder.path.mkdir(parents=True, exist_ok=True)
    if not run.folder.recipe.is_file():
        write_text(run.folder.recipe, dump_recipe(run.recipe))
    status, message = launch(["train", str(run.folder.recipe), "--output", str(run.folder.path), "--resume"], show=show)
    if status == 0:
        return
    if [path.name for path in run.folder.path.iterdir()] == [run.folder.recipe.name]:  # it was refused before it began
        shutil.rmtree(run.folder.path)
    where = str(run.folder.path)
    if status == 2:
        raise UserError(f"the run stopped: {message}", where=where)
    if status < 0:
        raise UserError(
            f"the run was killed by signal {-status}",
            where=where,
            fix="If memory ran out, lower training.batch_size. The same command continues; finished runs are kept.",
        )
    raise RuntimeError(f"{where}: the run failed with status {status}: {message}")


def launch(arguments: list[str], *, show: bool) -> tuple[int, str]:
    """Run a command of ours in a new process: its exit status (-N: killed by signal N) and its error message."""
    command = [sys.executable, "-m", "feathertune.cli", *arguments]
    stderr = None if show else subprocess.PIPE
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=stderr, check=False)  # noqa: S603 - our own
    if show:
        return done.returncode, "see above"
    lines = done.stderr.decode(errors="replace").splitlines()[-_LAST_LINES:]
    return done.returncode, "\n  ".join(lines).removeprefix("feathertune: ")
