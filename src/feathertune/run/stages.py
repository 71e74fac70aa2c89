"""The stages a run is made of: evaluating every split, and training. Both take the job's model as it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from feathertune.data.example import Split
from feathertune.data.labels import soft_targets
from feathertune.evaluation.calibration import apply_decision, describe_calibration
from feathertune.evaluation.metrics import compute_metrics
from feathertune.evaluation.selection import require_selectable
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Stage
from feathertune.model.model_folder import save_model
from feathertune.model.peft_files import TENSORS, save_adapter
from feathertune.model.precision import set_precision
from feathertune.prediction.decision import Decision
from feathertune.prediction.files import write_predictions
from feathertune.prediction.inference import predict_split
from feathertune.prediction.predictions import Predictions
from feathertune.run.prepare import PreparedRun
from feathertune.system.files import sha256, write_json
from feathertune.training.loop import (
    LoopSettings,
    Outcome,
    Teacher,
    TrainingSet,
    train_loop,
)
from feathertune.training.optimizer import build_optimizer
from feathertune.training.record import TrainingPaths
from feathertune.training.reporter import Reporter


@dataclass(frozen=True)
class RunContext:
    """What all stages of one call share: where they write, who hears of them, on which machines they run."""

    run: RunFolder
    accelerator: Any
    reporter: Reporter
    resume: bool

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.accelerator.is_main_process)


def evaluate_stage(session: RunContext, job: PreparedRun, stage: Stage) -> dict[str, Predictions]:
    """Predict every split but train; write predictions and metrics. Returns the predictions by split.

    How logits become answers is chosen as the recipe's `evaluation` says, for the model as it is at this stage, so that
    stages are compared by the same rule; what it is at `after` stays with the run.
    """
    raw = {split.name: predict_split(job.classifier, split, job.texts[split.name]) for split in job.evaluated}
    predictions = apply_decision(raw, job.recipe.evaluation)
    if stage == "after" and session.writes:
        write_json(session.run.calibration, describe_calibration(raw, predictions, job.recipe.evaluation))
    for name, answers in predictions.items():
        if session.writes:
            write_predictions(session.run.predictions(stage, name), answers)
            write_json(session.run.evaluation(stage, name), compute_metrics(answers).to_json())
    return predictions


def metrics_of(predictions: dict[str, Predictions]) -> dict[str, Any]:
    """The metrics of each split, JSON-ready."""
    return {name: compute_metrics(answers).to_json() for name, answers in predictions.items()}


def first_training(session: RunContext, job: PreparedRun, folder: RunFolder) -> Outcome:
    """Train the job's model in place, in its precision, and leave log and checkpoints in `folder`."""
    training = job.recipe.training
    set_precision(job.classifier, job.precision.precision)
    places = TrainingPaths(folder.metrics, folder.checkpoints, fingerprint(job, session.accelerator.num_processes))
    return train_stage(session, job, places, epochs=training.epochs, learning_rate=training.learning_rate)


def train_stage(
    session: RunContext,
    job: PreparedRun,
    places: TrainingPaths,
    *,
    epochs: int,
    learning_rate: float,
    teacher: Teacher | None = None,
) -> Outcome:
    """Train the job's model in place, by the recipe's `training` section with these epochs and this rate."""
    training, train_split = job.recipe.training, job.dataset.splits["train"]
    validation = job.dataset.splits["validation"]
    optimizer = build_optimizer(
        job.classifier,
        learning_rate=learning_rate,
        head_learning_rate=training.head_learning_rate,
        weight_decay=training.weight_decay,
    )
    settings = LoopSettings(
        epochs=epochs,
        batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        warmup_ratio=training.warmup_ratio,
        schedule=training.schedule,
        max_grad_norm=training.max_grad_norm,
        best_metric=training.best_metric,
        early_stopping_patience=training.early_stopping_patience,
        seed=training.seed,
        share_prefixes=training.share_prefixes,
        max_steps=training.max_steps,
    )

    def evaluate() -> dict[str, Any]:
        require_selectable(validation.name, "the best epoch")
        predictions = predict_split(job.classifier, validation, job.texts["validation"])
        decision = Decision(threshold=job.recipe.evaluation.fixed_threshold)
        return compute_metrics(replace(predictions, decision=decision), intervals=False).to_json()

    return train_loop(
        job.classifier,
        optimizer,
        TrainingSet(job.texts["train"], _targets(train_split, job), train_split.rows, teacher),
        evaluate,
        settings,
        places,
        session.reporter,
        session.accelerator,
        resume=session.resume,
    )


def save_weights(run: RunFolder, job: PreparedRun) -> None:
    """Write what was trained: adapter and head in PEFT's files, or after a full fine-tune the whole model."""
    if job.recipe.method == "full":
        save_model(job.classifier, run.model, job.tokenizer)
    else:
        save_adapter(job.classifier, run.adapter, job.lora, base=job.base.source, revision=job.base.revision)
        if job.recipe.model.prompt is not None:  # for PEFT's users, whose base has a tokenizer without it
            job.tokenizer.save_pretrained(run.adapter)


def fingerprint(job: PreparedRun, num_processes: int) -> str:
    """What a checkpoint must have in common with the run that resumes it."""
    recipe = job.recipe.model_dump_json(
        exclude_defaults=True
    )  # so that a key that a later version adds changes nothing
    parts = [recipe, json.dumps(job.base_checksums, sort_keys=True)]
    parts += [json.dumps(job.dataset.origin, sort_keys=True, default=str), str(num_processes), job.precision.precision]
    if job.start is not None:  # which may have been trained anew, in the same folder
        parts.append(sha256(job.start.adapter / TENSORS))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _targets(split: Split, job: PreparedRun) -> Any:
    """[N] int64 classes; or, for soft labels, [N, 2] float32 probabilities (see `soft_targets`)."""
    if not job.recipe.data.label.soft:
        return split.labels
    assert split.ratings is not None, "soft labels come from a rating"
    return soft_targets(split.ratings, job.recipe.data.label)
