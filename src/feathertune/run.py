"""One run, from a recipe to a finished run folder: the main job, read from top to bottom.

rows -> examples -> token ids -> packed batches -> base + adapter -> logits -> predictions -> metrics -> run folder.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from feathertune.data.example import Dataset, Split
from feathertune.data.loading import load_dataset
from feathertune.data.statistics import describe
from feathertune.environment import describe_environment, peak_memory_mib
from feathertune.errors import UserError
from feathertune.evaluation.inference import predict_split
from feathertune.evaluation.metrics import compute_metrics, majority_baseline
from feathertune.evaluation.prediction_file import write_predictions
from feathertune.evaluation.predictions import Predictions
from feathertune.files import read_json, write_json, write_text
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    count_parameters,
    find_targets,
    train_everything,
    train_head_only,
)
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.model_folder import save_model
from feathertune.model.peft_files import save_adapter
from feathertune.model.sources import BaseFiles, find_base
from feathertune.recipe import Recipe, dump_recipe
from feathertune.report.figures import write_figures
from feathertune.run_folder import RunFolder, Stage
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.tokenized import TokenizedTexts, count_tokens, tokenize
from feathertune.training.checkpoint import check_fingerprint, latest_checkpoint
from feathertune.training.loop import LoopSettings, Outcome, Places, TrainingSet, train_loop
from feathertune.training.optimizer import build_optimizer
from feathertune.training.progress import Reporter, SilentReporter


@dataclass(frozen=True)
class Job:
    """Everything a run needs, loaded and checked, before anything is trained or written.

    Attributes:
        recipe: as validated.
        dataset: the splits.
        tokenizer: of the base model.
        texts: split name -> its texts, tokenized.
        base: the base model's files.
        base_checksums: weight file -> sha256.
        classifier: base and head, adapted as the method says.
        lora: what is adapted, or None.
    """

    recipe: Recipe
    dataset: Dataset
    tokenizer: Any
    texts: dict[str, TokenizedTexts]
    base: BaseFiles
    base_checksums: dict[str, str]
    classifier: PackedClassifier
    lora: LoraShape | None

    @property
    def evaluated(self) -> list[Split]:
        """The splits that are evaluated before and after: all but train."""
        return [split for name, split in self.dataset.splits.items() if name != "train"]


def prepare(recipe: Recipe) -> Job:
    """Load and check everything that can be without training. Writes nothing.

    Raises:
        UserError: anything wrong with data, model or recipe.
    """
    dataset = load_dataset(recipe.data, recipe.training.seed)
    base = find_base(recipe.model.source, recipe.model.revision)
    tokenizer = load_tokenizer(base.folder, base.gguf_file)
    texts = {
        name: tokenize(tokenizer, split.texts.to_pylist(), recipe.model.max_length)
        for name, split in dataset.splits.items()
    }
    classifier = load_base(base, dataset.label_names, recipe.training.seed)
    _check_positions(classifier, texts)
    lora = apply_method(classifier, recipe)
    return Job(recipe, dataset, tokenizer, texts, base, base.checksums(), classifier, lora)


def apply_method(classifier: PackedClassifier, recipe: Recipe) -> LoraShape | None:
    """Freeze and adapt the classifier as the recipe's method says, in place. Returns what LoRA adapts."""
    if recipe.method == "head":
        train_head_only(classifier)
        return None
    if recipe.method == "full":
        train_everything(classifier)
        return None
    section = recipe.lora
    names = find_targets(classifier, section.targets)
    shape = LoraShape(section.rank, section.alpha, section.dropout, section.rslora, names)
    add_lora(classifier, shape, recipe.training.seed)
    return shape


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
    output = Path(output)
    run = RunFolder(output)
    if resume and run.summary.is_file():
        return dict(read_json(run.summary))
    check_output(output, resume=resume)
    accelerator = _accelerator()
    job = prepare(recipe)
    checkpoint = latest_checkpoint(run.checkpoints) if resume else None
    if checkpoint is not None:
        check_fingerprint(
            checkpoint, _fingerprint(job, accelerator.num_processes)
        )  # before anything of the unfinished run is written over
    elif accelerator.is_main_process:
        _write_inputs(run, job, command)
    accelerator.wait_for_everyone()
    job.classifier.to(accelerator.device)
    before = _evaluate(run, job, "before", write=accelerator.is_main_process)
    outcome = _train(run, job, accelerator, reporter or SilentReporter(), resume=resume)
    after = _evaluate(run, job, "after", write=accelerator.is_main_process)
    summary = _summary(job, outcome, before, after)
    if accelerator.is_main_process:
        _save_weights(run, job)
        write_json(run.summary, summary)
        write_figures(run)
    accelerator.wait_for_everyone()
    return summary


def check_output(output: Path, *, resume: bool) -> None:
    """Refuse a folder that holds something, unless a run in it is to be resumed. Raises UserError."""
    if output.exists() and not output.is_dir():
        raise UserError("the output is a file, not a folder", where=str(output))
    if not output.is_dir() or not any(output.iterdir()) or resume:
        return
    run = RunFolder(output)
    if run.recipe.is_file() and not run.summary.is_file():
        raise UserError(
            "an unfinished run is in this folder",
            where=str(output),
            fix="Go on with --resume, or give another --output.",
        )
    raise UserError("the output folder is not empty", where=str(output), fix="Give another --output.")


def plan(job: Job) -> dict[str, Any]:
    """What training would do, for --dry-run: JSON-ready."""
    training = job.recipe.training
    per_step = training.batch_size * training.accumulation
    count = count_parameters(job.classifier)
    return {
        "method": job.recipe.method,
        "model": job.recipe.model.source,
        "trainable_parameters": count.trainable,
        "total_parameters": count.total,
        "label_names": list(job.dataset.label_names),
        "examples": {name: len(split) for name, split in job.dataset.splits.items()},
        "tokens": {name: int(texts.offsets[-1]) for name, texts in job.texts.items()},
        "truncated_texts": {name: texts.truncated for name, texts in job.texts.items()},
        "steps": -(-len(job.dataset.splits["train"]) // per_step) * training.epochs,
    }


def _accelerator() -> Any:
    from accelerate import Accelerator

    return Accelerator(mixed_precision="no")


def _check_positions(classifier: PackedClassifier, texts: dict[str, TokenizedTexts]) -> None:
    """A model with learned positions has only so many of them."""
    config = classifier.model.config
    limit = getattr(config, "max_position_embeddings", None)
    longest = max(int(tokens.lengths.max()) for tokens in texts.values())
    if limit is not None and longest > (most := limit - classifier.family.first_position(config)):
        raise UserError(
            f"a text has {longest} tokens, the model takes {most}",
            where="model.max_length",
            fix=f"Set model.max_length={most} or less; longer texts are cut.",
        )


def _write_inputs(run: RunFolder, job: Job, command: str | None) -> None:
    """Everything about the run that is known before it starts."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_text(run.recipe, dump_recipe(job.recipe))
    write_json(run.environment, describe_environment(command if command is not None else " ".join(sys.argv)))
    description = describe(job.dataset, lambda texts: count_tokens(job.tokenizer, texts))
    truncated = {name: texts.truncated for name, texts in job.texts.items()}
    write_json(run.data, description | {"label_names": list(job.dataset.label_names), "truncated_texts": truncated})
    write_json(
        run.base,
        {
            "source": job.base.source,
            "revision": job.base.revision,
            "architecture": type(job.classifier.model).__name__,
            "model_type": job.classifier.model.config.model_type,
            "max_length": job.recipe.model.max_length,
            "sha256": job.base_checksums,
        },
    )


def _evaluate(run: RunFolder, job: Job, stage: Stage, *, write: bool) -> dict[str, Predictions]:
    """Predict every split but train; write predictions and metrics."""
    predictions = {split.name: predict_split(job.classifier, split, job.texts[split.name]) for split in job.evaluated}
    if write:
        for name, predicted in predictions.items():
            write_predictions(run.predictions(stage, name), predicted)
            write_json(run.evaluation(stage, name), compute_metrics(predicted).to_json())
    return predictions


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
        if not np.isfinite(predictions.logits_NC).all():
            raise UserError(
                "training diverged: the model's answers on validation are no longer finite",
                where=f"{run.metrics}",
                fix="Lower training.learning_rate.",
            )
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
    parts += [json.dumps(job.dataset.origin, sort_keys=True, default=str), str(num_processes)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _save_weights(run: RunFolder, job: Job) -> None:
    if job.recipe.method == "full":
        save_model(job.classifier, run.model, job.tokenizer)
    else:
        save_adapter(job.classifier, run.adapter, job.lora, base=job.base.source, revision=job.base.revision)


def _summary(
    job: Job, outcome: Outcome, before: dict[str, Predictions], after: dict[str, Predictions]
) -> dict[str, Any]:
    progress, count = outcome.progress, count_parameters(job.classifier)
    train_labels = job.dataset.splits["train"].labels
    return {
        "method": job.recipe.method,
        "model": job.recipe.model.source,
        "label_names": list(job.dataset.label_names),
        "trainable_parameters": count.trainable,
        "total_parameters": count.total,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "best_metric": job.recipe.training.best_metric,
        "stopped_early": outcome.stopped_early,
        "train_seconds": progress.train_seconds,
        "train_examples_per_second": progress.examples_seen / progress.train_seconds,
        "peak_memory_mib": peak_memory_mib(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "majority": {name: majority_baseline(train_labels, p).to_json() for name, p in after.items()},
        "before": {name: compute_metrics(p).to_json() for name, p in before.items()},
        "after": {name: compute_metrics(p).to_json() for name, p in after.items()},
    }
