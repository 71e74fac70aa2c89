"""The beginning of a run: what is known beforehand is written, unless the run continues from a checkpoint."""

from __future__ import annotations

from feathertune.folders.inputs import EnvironmentRecord
from feathertune.folders.run import RunFolder
from feathertune.recipe.files import dump_recipe
from feathertune.run.context import RunContext
from feathertune.run.prepare import Prepared, PreparedRun
from feathertune.run.soup import check_members
from feathertune.system.files import write_text
from feathertune.system.machine import describe_environment
from feathertune.system.temporary import remove_left_in
from feathertune.training.checkpoint import check_fingerprint, latest_checkpoint


def begin(context: RunContext, prepared: Prepared, command: str | None) -> None:
    """Write the run's inputs, unless it continues from a checkpoint.

    Raises:
        UserError: the checkpoint belongs to another run. Then nothing is overwritten.
    """
    run, reporter = context.run, context.reporter
    started = context.resume and run.metrics.is_file()
    continues = context.resume and isinstance(prepared, PreparedRun) and _has_checkpoint(context, prepared)
    if context.writes:
        remove_left_in(run.path)
        if not continues:
            write_inputs(run, prepared, command, context.accelerator.num_processes)
    context.accelerator.wait_for_everyone()
    if started and not continues and isinstance(prepared, PreparedRun):  # a baseline has no checkpoints
        reporter.say(f"no checkpoint in {run.path}: starting from the beginning")


def write_inputs(run: RunFolder, prepared: Prepared, command: str | None, processes: int = 1) -> None:
    """Write everything that is known about a run before it starts."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_text(run.recipe, dump_recipe(prepared.recipe))
    write_text(run.metrics, "")  # a run without training leaves it empty
    EnvironmentRecord(**describe_environment(command, processes)).write(run.environment)
    prepared.data_record.write(run.data)
    if (base := prepared.base_record()) is not None:
        base.write(run.base)


def _has_checkpoint(context: RunContext, prepared: PreparedRun) -> bool:
    """Whether there is something to continue from. Raises UserError if it belongs to another run."""
    if prepared.recipe.lora.members > 1:
        return check_members(context, prepared)
    checkpoint = latest_checkpoint(context.run.checkpoints)
    if checkpoint is not None:
        check_fingerprint(checkpoint, context.fingerprint(prepared))
    return checkpoint is not None
