"""One run, from a recipe to a finished run folder, read from top to bottom.

rows -> examples -> token ids -> packed batches -> base + adapter -> logits -> predictions -> metrics -> run folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feathertune.data.columns import with_columns
from feathertune.data.remarks import refuse
from feathertune.errors import UserError
from feathertune.evaluation.error_analysis import analyze_errors
from feathertune.folders.output import stored_recipe
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import QuantizationSummary, SoupMember, Stage, Summary
from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.report.run_report import write_run_report
from feathertune.run.baseline import run_baseline
from feathertune.run.begin import begin
from feathertune.run.checks import check_processes
from feathertune.run.context import RunContext, open_accelerator
from feathertune.run.outline import introduce
from feathertune.run.prepare import PreparedBaseline, PreparedRun, in_float32, prepare, prepare_baseline
from feathertune.run.quantize import quantize
from feathertune.run.result import RunResult, summarize
from feathertune.run.soup import train_soup
from feathertune.run.stages import StageResult, evaluate_stage, save_weights, train_first
from feathertune.run.start import describe_start
from feathertune.training.loop import Outcome
from feathertune.training.reporter import Reporter, SilentReporter


def train(
    recipe: Recipe,
    output: Path | str,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    command: str | None = None,
    strict: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train by a recipe and leave a finished run folder at `output`. Returns the content of its summary.json.

    Args:
        recipe: defines the run.
        output: a new or empty folder.
        resume: continue an unfinished run in `output`. A finished run is left as it is.
        reporter: receives the progress; by default nothing is reported.
        command: the command line, for environment.json; null there if none is given, as from Python.
        strict: refuse data about which there are remarks (see docs/DATA.md).
        quiet: do not report the remarks; data.json has them all the same.

    Raises:
        UserError: anything the user can fix. Nothing is written unless training has started.
    """
    summary = train_run(recipe, output, resume=resume, reporter=reporter, command=command, strict=strict, quiet=quiet)
    return summary.to_json()


def train_run(
    recipe: Recipe,
    output: Path | str,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    command: str | None = None,
    strict: bool = False,
    quiet: bool = False,
) -> Summary:
    """`train`, with a typed result."""
    run, accelerator = RunFolder(Path(output)), open_accelerator()
    reporter = reporter if reporter is not None and accelerator.is_main_process else SilentReporter()
    check_output(run.path, recipe, resume=resume)
    check_processes(recipe, accelerator.num_processes)
    accelerator.wait_for_everyone()  # every process checks before the first one writes
    if resume and run.summary.is_file():
        reporter.say(f"the run in {run.path} is finished: nothing to resume")
        return Summary.read(run.summary)
    prepared: PreparedBaseline | PreparedRun = (
        prepare_baseline(recipe)
        if recipe.method in BASELINES
        else prepare(recipe, accelerator.device, run if resume else None)
    )
    if strict:
        refuse(prepared.data_record.remarks, recipe.data.source)
    context = RunContext(run, accelerator, reporter, resume)
    begin(context, prepared, command)
    for line in introduce(prepared, quiet=quiet):
        reporter.say(line)
    if isinstance(prepared, PreparedBaseline):
        result = run_baseline(context, prepared)
    else:
        result = _run_stages(context, prepared)
    summary = summarize(prepared, result, context.peak_memory_mib())
    if context.writes:
        for name, predictions in result.stages["after"].predictions.items():
            analyze_errors(predictions).write(run.errors(name))
        write_run_report(run, summary)
        summary.write(run.summary)  # last: a folder that has it is a finished run
    accelerator.wait_for_everyone()
    return summary


def check_output(output: Path, recipe: Recipe, *, resume: bool) -> None:
    """Raise a UserError if the folder is not empty, unless it holds a run of this very recipe that is to be resumed."""
    stored = stored_recipe(output, "run")
    if stored is None:
        return
    if resume:
        if stored != with_columns(recipe):
            raise UserError(
                "the run in this folder was made with another recipe",
                where=str(output),
                fix="Resume with the recipe it was started with (its recipe.yaml), or give another --output.",
            )
        return
    finished = RunFolder(output).summary.is_file()
    what, fix = ("a finished run", "") if finished else ("an unfinished run", "continue with --resume, or ")
    raise UserError(
        f"{what} is in this folder, which is not empty", where=str(output), fix=f"To train, {fix}give another --output."
    )


def _run_stages(context: RunContext, prepared: PreparedRun) -> RunResult:
    """Evaluate, train, evaluate again: the model itself, or the integers it is quantized to."""
    source, count, precision = prepared.recipe.model.source, prepared.count, prepared.precision.precision
    start = None if prepared.start is None else describe_start(prepared.start, prepared.dataset)
    stages: dict[Stage, StageResult] = {"before": evaluate_stage(context, prepared, "before")}
    outcome: Outcome | None = None
    members: tuple[SoupMember, ...] = ()
    quantization: QuantizationSummary | None = None
    if prepared.recipe.lora.members > 1:
        prepared, outcome, members = train_soup(context, prepared)
    elif prepared.start is None:
        outcome = train_first(context, prepared, context.run)
        prepared = prepared if prepared.plan is not None else in_float32(prepared)
    if prepared.plan is None:
        stages["after"] = evaluate_stage(context, prepared, "after")
        if context.writes:
            save_weights(context.run, prepared)
    else:
        quantized = quantize(context, prepared, outcome)
        stages |= quantized.stages
        outcome, quantization = quantized.outcome, quantized.summary
    return RunResult(stages, outcome, count, precision, source, members, quantization, start)
