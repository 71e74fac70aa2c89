"""What a run came to, and its summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from feathertune.evaluation.metrics import majority_metrics
from feathertune.folders.summary import (
    QuantizationSummary,
    SoupMember,
    Stage,
    StartSummary,
    Summary,
    TrainingSummary,
)
from feathertune.model.classifier import ParameterCount
from feathertune.run.prepare import Prepared
from feathertune.run.stages import StageResult
from feathertune.training.checkpoint import Progress
from feathertune.training.loop import Outcome


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        stages: the results of its stages; `before` and `after` are always there.
        outcome: of its first training; None if a finished run was only quantized.
        count: the model's parameters, and the trained ones.
        precision: what was trained in: fp32, bf16, or fp64 for a baseline.
        model: the source of the base; None for a baseline.
        members: the members of a model soup.
        quantization: for a quantized run.
        start: for a run with `init_from`.
    """

    stages: dict[Stage, StageResult]
    outcome: Outcome | None
    count: ParameterCount
    precision: str
    model: str | None = None
    members: tuple[SoupMember, ...] = ()
    quantization: QuantizationSummary | None = None
    start: StartSummary | None = None


def summarize(prepared: Prepared, result: RunResult, peak_memory_mib: float) -> Summary:
    """The content of summary.json. Keys that do not apply to the run are left out.

    `peak_memory_mib` is that of all processes together.
    """
    training = summarize_training(result.outcome)
    optional: dict[str, Any] = {stage: one.metrics for stage, one in result.stages.items()}
    parts = {"members": result.members, "quantization": result.quantization, "start": result.start}
    optional |= {name: part for name, part in parts.items() if part}
    return Summary(
        method=prepared.recipe.method,
        model=result.model,
        label_names=prepared.dataset.label_names,
        trainable_parameters=result.count.trainable,
        total_parameters=result.count.total,
        epochs=training.epochs,
        best_epoch=None if result.members else training.best_epoch,  # each member has its own
        best_metric=prepared.recipe.training.best_metric,
        precision=result.precision,
        stopped_early=training.stopped_early,
        train_seconds=training.train_seconds,
        train_examples_per_second=training.train_examples_per_second,
        peak_memory_mib=peak_memory_mib,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        majority={
            name: majority_metrics(prepared.train.labels, predictions)
            for name, predictions in result.stages["after"].predictions.items()
        },
        **optional,
    )


def summarize_training(outcome: Outcome | None) -> TrainingSummary:
    """How long a training took, and which epoch was kept; all zero without a training."""
    progress = Progress() if outcome is None else outcome.progress
    return TrainingSummary(
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        stopped_early=outcome is not None and outcome.stopped_early,
        train_seconds=progress.train_seconds,
        train_examples_per_second=None if outcome is None else progress.examples_seen / progress.train_seconds,
    )
