"""The stages of a run, evaluation and training. Both use the run's model as it is at the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from feathertune.data.example import Split
from feathertune.data.labels import soft_targets
from feathertune.evaluation.calibration import apply_decision, describe_calibration
from feathertune.evaluation.metrics import compute_metrics
from feathertune.evaluation.selection import require_selectable
from feathertune.folders.metrics import Metrics
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Stage
from feathertune.model.adapt import trainable_state
from feathertune.model.model_folder import save_model
from feathertune.model.padding import saved_tokenizer
from feathertune.model.peft_files import save_adapter
from feathertune.model.precision import set_precision
from feathertune.model.tensors import check_finite
from feathertune.prediction.decision import Decision
from feathertune.prediction.files import write_predictions
from feathertune.prediction.inference import predict_split
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.evaluation import EvaluationSection
from feathertune.recipe.schema import LabelSection
from feathertune.run.context import RunContext
from feathertune.run.prepare import PreparedRun
from feathertune.tokens.run_tokenizer import save_tokenizer
from feathertune.training.dataset import Teacher, TrainingSet
from feathertune.training.loop import LoopSettings, Outcome, train_loop
from feathertune.training.optimizer import build_optimizer
from feathertune.training.record import TrainingPaths


@dataclass(frozen=True)
class StageResult:
    """The predictions of a model at one stage of a run, and their metrics, by split."""

    predictions: dict[str, Predictions]
    metrics: dict[str, Metrics]


def evaluate_stage(context: RunContext, prepared: PreparedRun, stage: Stage) -> StageResult:
    """Predict every split but train with the run's model, and record the result (see `record_stage`)."""
    raw = {
        split.name: predict_split(prepared.classifier, split, prepared.texts[split.name])
        for split in prepared.evaluated
    }
    return record_stage(context, raw, prepared.recipe.evaluation, stage)


def record_stage(
    context: RunContext, raw: Mapping[str, Predictions], section: EvaluationSection, stage: Stage
) -> StageResult:
    """Compute the metrics of a stage, and write them with the predictions.

    Temperature and threshold are chosen for the model of this stage, so that stages are compared by the same rule. The
    choice at stage `after` is stored with the run.

    Args:
        context: the run's.
        raw: split -> predictions by the default decision.
        section: says how logits become predictions.
        stage: names the files.
    """
    predictions = apply_decision(raw, section)
    metrics = {name: compute_metrics(one) for name, one in predictions.items()}
    if context.writes:
        if stage == "after":
            describe_calibration(raw, predictions, section).write(context.run.calibration)
        for name in predictions:
            write_predictions(context.run.predictions(stage, name), predictions[name])
            metrics[name].write(context.run.evaluation(stage, name))
    return StageResult(predictions, metrics)


def train_first(context: RunContext, prepared: PreparedRun, folder: RunFolder) -> Outcome:
    """The first training of a run, which QAT may follow: in place, in the run's precision.

    Log and checkpoints are written to `folder`: the run's, or that of a member of a model soup.
    """
    training = prepared.recipe.training
    set_precision(prepared.classifier, prepared.precision.precision)
    paths = TrainingPaths(folder.metrics, folder.checkpoints, context.fingerprint(prepared))
    return train_stage(context, prepared, paths, epochs=training.epochs, learning_rate=training.learning_rate)


def train_stage(
    context: RunContext,
    prepared: PreparedRun,
    paths: TrainingPaths,
    *,
    epochs: int,
    learning_rate: float,
    teacher: Teacher | None = None,
) -> Outcome:
    """Train the run's model in place; what is not an argument is set by the recipe's section `training`."""
    training, validation = prepared.recipe.training, prepared.dataset.splits["validation"]
    optimizer = build_optimizer(
        prepared.classifier,
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

    def evaluate() -> Metrics:
        require_selectable(validation.name, "the best epoch")
        predictions = predict_split(prepared.classifier, validation, prepared.texts["validation"])
        decision = Decision(threshold=prepared.recipe.evaluation.fixed_threshold)
        return compute_metrics(replace(predictions, decision=decision), intervals=False)

    texts = prepared.texts["train"].without_trailing(prepared.classifier.never_pooled)
    return train_loop(
        prepared.classifier,
        optimizer,
        TrainingSet(texts, training_targets(prepared.train, prepared.recipe.data.label), prepared.train.rows, teacher),
        evaluate,
        settings,
        paths,
        context.reporter,
        context.accelerator,
        resume=context.resume,
    )


def save_weights(run: RunFolder, prepared: PreparedRun) -> None:
    """Write the trained weights: adapter and head in PEFT's format, or the whole model after full fine-tuning.

    Raises UserError if one is not finite: the run diverged in a part that no validation text uses.
    """
    check_finite(trainable_state(prepared.classifier), run.path)
    if prepared.recipe.method == "full":
        save_model(prepared.classifier, run.model, prepared.tokenizer)
        return
    base = prepared.builder.base
    save_adapter(prepared.classifier, run.adapter, prepared.lora, base=base.source, revision=base.revision)
    # The base's own tokenizer has another length, parses special tokens in texts, adds no prompt, and may pad with
    # another token or on the left.
    save_tokenizer(saved_tokenizer(prepared.classifier, prepared.tokenizer), run.adapter)


def training_targets(train: Split, label: LabelSection) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
    """[N] int64 classes; for soft labels [N, C] float32 probabilities: of raters (`soft_targets`), or annotators'."""
    if train.shares is not None:
        return train.shares.astype(np.float32)
    if not label.soft:
        return train.labels
    assert train.ratings is not None, "soft labels come from a rating"
    return soft_targets(train.ratings, label)
