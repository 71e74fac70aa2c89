"""One run, from a recipe to a finished run folder: the main job, read from top to bottom.

rows -> examples -> token ids -> packed batches -> base + adapter -> logits -> predictions -> metrics -> run folder.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feathertune.data.statistics import describe
from feathertune.errors import UserError
from feathertune.evaluation.error_analysis import describe_errors
from feathertune.evaluation.metrics import majority_baseline
from feathertune.folders.output import stored_recipe
from feathertune.folders.run import RunFolder
from feathertune.recipe.files import dump_recipe
from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.report.run_report import write_run_report
from feathertune.run.baseline import train_baseline
from feathertune.run.outline import introduce
from feathertune.run.prepare import PreparedRun, in_float32, prepare
from feathertune.run.quantize import quantize
from feathertune.run.soup import check_members, train_soup
from feathertune.run.stages import (
    RunContext,
    evaluate_stage,
    fingerprint,
    first_training,
    metrics_of,
    save_weights,
)
from feathertune.run.start import describe_start
from feathertune.system.files import read_json, write_json, write_text
from feathertune.system.machine import default_device, describe_environment, peak_memory_mib
from feathertune.training.checkpoint import Progress, check_fingerprint, latest_checkpoint
from feathertune.training.loop import Outcome
from feathertune.training.reporter import Reporter, SilentReporter


def train(
    recipe: Recipe,
    output: Path | str,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Run a recipe and leave a finished run folder at `output`. Returns the content of its summary.json.

    Args:
        resume: go on with an unfinished run in `output`; a finished one is left as it is.
        reporter: hears of the progress; silent by default.
        command: the command line, for environment.json; null there where none is given, as from Python.

    Raises:
        UserError: anything the user can mend; nothing is written unless training had begun.
    """
    run = RunFolder(Path(output))
    accelerator = _accelerator()
    reporter = reporter if reporter is not None and accelerator.is_main_process else SilentReporter()
    check_output(run.path, recipe, resume=resume)
    accelerator.wait_for_everyone()  # all have looked before the first one writes
    if resume and run.summary.is_file():
        reporter.say(f"the run in {run.path} is finished: nothing to resume")
        return dict(read_json(run.summary))
    if recipe.method in BASELINES:
        return train_baseline(recipe, run, reporter, command)
    job = prepare(recipe, accelerator.device, run if resume else None)
    session = RunContext(run, accelerator, reporter, resume)
    _begin(session, job, command)
    for line in introduce(job):
        reporter.say(line)
    before = evaluate_stage(session, job, "before")
    outcome, more = None, dict[str, Any]()
    if recipe.lora.members > 1:
        job, outcome, more["members"] = train_soup(session, job)
    elif job.start is None:
        outcome = first_training(session, job, run)
        job = job if job.plan is not None else in_float32(job)
    if job.plan is None:
        after = evaluate_stage(session, job, "after")
        if session.writes:
            save_weights(run, job)
    else:
        outcome, after, quantized = quantize(session, job, outcome)
        more |= quantized
    if job.start is not None:
        more["start"] = describe_start(job.start, job.dataset)
    train_labels = job.dataset.splits["train"].labels
    majority = {name: majority_baseline(train_labels, answers).to_json() for name, answers in after.items()}
    stages = {"majority": majority, "before": metrics_of(before), "after": metrics_of(after)}
    summary = _summary(job, outcome) | stages | more
    if session.writes:
        for name, answers in after.items():
            write_json(run.errors(name), describe_errors(answers))
        write_run_report(run, summary)
        write_json(run.summary, summary)  # last: a folder that has it is a finished run
    accelerator.wait_for_everyone()
    return summary


def check_output(output: Path, recipe: Recipe, *, resume: bool) -> None:
    """Refuse a folder that holds something, unless it is a run of this very recipe to be resumed. Raises UserError."""
    stored = stored_recipe(output, "run")
    if stored is None:
        return
    if resume:
        if stored != recipe:
            raise UserError(
                "the run in this folder was made with another recipe",
                where=str(output),
                fix="Resume with the recipe it was started with (its recipe.yaml), or give another --output.",
            )
        return
    finished = RunFolder(output).summary.is_file()
    what, fix = ("a finished run", "") if finished else ("an unfinished run", "go on with --resume, or ")
    raise UserError(
        f"{what} is in this folder, which is not empty", where=str(output), fix=f"To train, {fix}give another --output."
    )


def _accelerator() -> Any:
    from accelerate import Accelerator
    from accelerate.utils import GradientAccumulationPlugin

    # Accumulation is the loop's, whatever `accelerate config` says. The device is every other command's: left alone,
    # accelerate takes Apple's GPU, on which nothing here was tried and which has no float64.
    return Accelerator(
        cpu=default_device().type == "cpu",
        mixed_precision="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
    )


def _begin(session: RunContext, job: PreparedRun, command: str | None) -> None:
    """Write what is known beforehand, unless the run goes on from a checkpoint. Raises UserError for another run's."""
    run, accelerator = session.run, session.accelerator
    begun = session.resume and run.metrics.is_file()
    found = session.resume and _check_begun(session, job)  # another run is refused before anything is written over
    if session.writes and not found:
        _write_inputs(run, job, command)
    accelerator.wait_for_everyone()
    if begun and not found:
        session.reporter.say(f"no checkpoint in {run.path}: starting from the beginning")


def _check_begun(session: RunContext, job: PreparedRun) -> bool:
    """Whether there is something to go on from. Raises UserError where it is another run's."""
    if job.recipe.lora.members > 1:
        return check_members(session, job)
    checkpoint = latest_checkpoint(session.run.checkpoints)
    if checkpoint is not None:
        check_fingerprint(checkpoint, fingerprint(job, session.accelerator.num_processes))
    return checkpoint is not None


def _write_inputs(run: RunFolder, job: PreparedRun, command: str | None) -> None:
    """Everything about the run that is known before it starts."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_text(run.recipe, dump_recipe(job.recipe))
    write_text(run.metrics, "")  # a run that only quantizes adds nothing to it
    write_json(run.environment, describe_environment(command))
    tokens = {name: texts.whole_lengths for name, texts in job.texts.items()}
    description = describe(job.dataset, tokens, overlap=job.overlap)
    truncated = {name: texts.truncated for name, texts in job.texts.items()}
    write_json(run.data, description | {"truncated_texts": truncated})
    write_json(
        run.base,
        {
            "source": job.base.source,
            "revision": job.base.revision,
            "folder": str(job.base.folder / (job.base.gguf_file or "")),
            "architecture": type(job.classifier.model).__name__,
            "model_type": job.classifier.model.config.model_type,
            "max_length": job.recipe.model.max_length,
            "sha256": job.base_checksums,
        },
    )


def _summary(job: PreparedRun, outcome: Outcome | None) -> dict[str, Any]:
    """What was trained and what it cost; `outcome` is None where a finished run was only quantized."""
    progress, count = outcome.progress if outcome is not None else Progress(), job.count
    return {
        "method": job.recipe.method,
        "model": job.recipe.model.source,
        "label_names": list(job.dataset.label_names),
        "trainable_parameters": count.trainable,
        "total_parameters": count.total,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch if job.recipe.lora.members == 1 else None,  # each member has its own
        "best_metric": job.recipe.training.best_metric,
        "precision": job.precision.precision,
        "stopped_early": outcome is not None and outcome.stopped_early,
        "train_seconds": progress.train_seconds,
        "train_examples_per_second": progress.examples_seen / progress.train_seconds if outcome is not None else None,
        "peak_memory_mib": peak_memory_mib(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
