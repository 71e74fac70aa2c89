"""One run, from a recipe to a finished run folder: the main job, read from top to bottom.

rows -> examples -> token ids -> packed batches -> base + adapter -> logits -> predictions -> metrics -> run folder.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from feathertune.data.example import Split
from feathertune.data.statistics import describe
from feathertune.environment import describe_environment, peak_memory_mib
from feathertune.errors import UserError
from feathertune.evaluation.inference import predict_split
from feathertune.evaluation.metrics import compute_metrics, majority_baseline
from feathertune.evaluation.prediction_file import write_predictions
from feathertune.files import read_json, write_json, write_text
from feathertune.job import Job, introduce, prepare
from feathertune.model.adapt import count_parameters
from feathertune.model.model_folder import save_model
from feathertune.model.peft_files import save_adapter
from feathertune.recipe import Recipe, dump_recipe, load_recipe
from feathertune.report.figures import write_figures
from feathertune.run_folder import RunFolder, Stage
from feathertune.training.checkpoint import check_fingerprint, latest_checkpoint
from feathertune.training.loop import LoopSettings, Outcome, TrainingSet, train_loop
from feathertune.training.optimizer import build_optimizer
from feathertune.training.progress import Reporter, SilentReporter
from feathertune.training.record import Places


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
        command: the command line, for environment.json.

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
    job = prepare(recipe, accelerator.device)
    checkpoint = latest_checkpoint(run.checkpoints) if resume else None
    if checkpoint is not None:  # another run's is refused before anything of it is written over
        check_fingerprint(checkpoint, _fingerprint(job, accelerator.num_processes))
    elif accelerator.is_main_process:
        _write_inputs(run, job, command)
    accelerator.wait_for_everyone()
    if resume and checkpoint is None:
        reporter.say(f"no checkpoint in {run.path}: starting from the beginning")
    for line in introduce(job):
        reporter.say(line)
    before, _ = _evaluate(run, job, "before", write=accelerator.is_main_process)
    outcome = _train(run, job, accelerator, reporter, resume=resume)
    after, majority = _evaluate(run, job, "after", write=accelerator.is_main_process)
    summary = _summary(job, outcome, majority, before, after)
    if accelerator.is_main_process:
        _save_weights(run, job)
        write_figures(run, summary)
        write_json(run.summary, summary)  # last: a folder that has it is a finished run
    accelerator.wait_for_everyone()
    return summary


def check_output(output: Path, recipe: Recipe, *, resume: bool) -> None:
    """Refuse a folder that holds something, unless it is a run of this very recipe to be resumed. Raises UserError."""
    if output.exists() and not output.is_dir():
        raise UserError("the output is a file, not a folder", where=str(output))
    if not output.is_dir() or not any(output.iterdir()):
        return
    run = RunFolder(output)
    if not run.recipe.is_file():
        raise UserError(
            "the output folder is not empty and holds no run", where=str(output), fix="Give another --output."
        )
    if resume:
        if load_recipe(run.recipe) != recipe:
            raise UserError(
                "the run in this folder was made with another recipe",
                where=str(output),
                fix="Resume with the recipe it was started with (its recipe.yaml), or give another --output.",
            )
        return
    what, fix = ("a finished run", "") if run.summary.is_file() else ("an unfinished run", "go on with --resume, or ")
    raise UserError(
        f"{what} is in this folder, which is not empty", where=str(output), fix=f"To train, {fix}give another --output."
    )


def _accelerator() -> Any:
    from accelerate import Accelerator
    from accelerate.utils import GradientAccumulationPlugin

    # Accumulation is the loop's, whatever `accelerate config` says.
    return Accelerator(mixed_precision="no", gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1))


def _write_inputs(run: RunFolder, job: Job, command: str | None) -> None:
    """Everything about the run that is known before it starts."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_text(run.recipe, dump_recipe(job.recipe))
    write_json(run.environment, describe_environment(command if command is not None else " ".join(sys.argv)))
    tokens = {name: texts.whole_lengths for name, texts in job.texts.items()}
    description = describe(job.dataset, tokens, overlap=job.overlap)
    truncated = {name: texts.truncated for name, texts in job.texts.items()}
    write_json(run.data, description | {"label_names": list(job.dataset.label_names), "truncated_texts": truncated})
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


def _evaluate(run: RunFolder, job: Job, stage: Stage, *, write: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Predict every split but train; write predictions and metrics.

    Returns the metrics by split, and those of always answering train's most frequent class.
    """
    train_labels = job.dataset.splits["train"].labels
    metrics, majority = {}, {}
    for split in job.evaluated:
        predictions = predict_split(job.classifier, split, job.texts[split.name])
        metrics[split.name] = compute_metrics(predictions).to_json()
        majority[split.name] = majority_baseline(train_labels, predictions).to_json()
        if write:
            write_predictions(run.predictions(stage, split.name), predictions)
            write_json(run.evaluation(stage, split.name), metrics[split.name])
    return metrics, majority


def _train(run: RunFolder, job: Job, accelerator: Any, reporter: Reporter, *, resume: bool) -> Outcome:
    training, train_split = job.recipe.training, job.dataset.splits["train"]
    validation = job.dataset.splits["validation"]
    optimizer = build_optimizer(
        job.classifier,
        learning_rate=training.learning_rate,
        head_learning_rate=training.head_learning_rate,
        weight_decay=training.weight_decay,
    )
    settings = LoopSettings(
        epochs=training.epochs,
        batch_size=training.batch_size,
        accumulation=training.accumulation,
        warmup=training.warmup,
        schedule=training.schedule,
        gradient_clip=training.gradient_clip,
        best_metric=training.best_metric,
        early_stopping=training.early_stopping,
        seed=training.seed,
    )

    def evaluate() -> dict[str, Any]:
        predictions = predict_split(job.classifier, validation, job.texts["validation"])
        return compute_metrics(predictions, intervals=False).to_json()

    return train_loop(
        job.classifier,
        optimizer,
        TrainingSet(job.texts["train"], _targets(train_split, job), train_split.rows),
        evaluate,
        settings,
        Places(run.metrics, run.checkpoints, _fingerprint(job, accelerator.num_processes)),
        reporter,
        accelerator,
        resume=resume,
    )


def _targets(split: Split, job: Job) -> Any:
    """[N] int64 classes; or, for soft labels, [N, 2] float32 probabilities from the rating."""
    if not job.recipe.data.label.soft:
        return split.labels
    assert split.ratings is not None, "soft labels come from a rating"
    positive = split.ratings.astype(np.float32)
    return np.stack([1 - positive, positive], axis=1)


def _fingerprint(job: Job, num_processes: int) -> str:
    """What a checkpoint must have in common with the run that resumes it."""
    parts = [dump_recipe(job.recipe), json.dumps(job.base_checksums, sort_keys=True)]
    parts += [json.dumps(job.dataset.origin, sort_keys=True, default=str), str(num_processes), job.precision.precision]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _save_weights(run: RunFolder, job: Job) -> None:
    if job.recipe.method == "full":
        save_model(job.classifier, run.model, job.tokenizer)
    else:
        save_adapter(job.classifier, run.adapter, job.lora, base=job.base.source, revision=job.base.revision)


def _summary(
    job: Job, outcome: Outcome, majority: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    progress, count = outcome.progress, count_parameters(job.classifier)
    return {
        "method": job.recipe.method,
        "model": job.recipe.model.source,
        "label_names": list(job.dataset.label_names),
        "trainable_parameters": count.trainable,
        "total_parameters": count.total,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "best_metric": job.recipe.training.best_metric,
        "precision": job.precision.precision,
        "stopped_early": outcome.stopped_early,
        "train_seconds": progress.train_seconds,
        "train_examples_per_second": progress.examples_seen / progress.train_seconds,
        "peak_memory_mib": peak_memory_mib(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "majority": majority,
        "before": before,
        "after": after,
    }
