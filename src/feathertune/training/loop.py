"""The training loop: epochs of packed steps, each evaluated, the best one kept. One loop for every method.

Reproducible: the examples of a step depend only on seed and epoch, dropout only on seed and step. The same seed gives
the same weights bit for bit on the same machine, resumed or not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from feathertune.errors import UserError
from feathertune.folders.metrics import Metrics
from feathertune.kernels.dropout import seed_dropout
from feathertune.model.adapt import trainable_state
from feathertune.model.classifier import PackedClassifier
from feathertune.tokens.batch import TOKEN_MULTIPLE, pack
from feathertune.tokens.order import training_steps
from feathertune.tokens.transfer import to_device
from feathertune.training.checkpoint import Progress
from feathertune.training.dataset import TrainingSet
from feathertune.training.optimizer import ScheduleKind, schedule_factor, set_learning_rate
from feathertune.training.record import Recorder, TrainingPaths
from feathertune.training.reporter import Reporter


@dataclass(frozen=True)
class LoopSettings:
    """The numbers of one training; the recipe's `training` section explains them.

    `batch_size` is that of all processes together: each takes its share, so a step has the same examples as in one.
    """

    epochs: int
    batch_size: int
    gradient_accumulation_steps: int
    warmup_ratio: float
    schedule: ScheduleKind
    max_grad_norm: float | None
    best_metric: str
    early_stopping_patience: int | None
    seed: int
    share_prefixes: bool = False
    max_steps: int | None = None
    checkpoint_seconds: float = 600.0


@dataclass(frozen=True)
class Outcome:
    """The end of a training: its progress, and whether it stopped before its last epoch."""

    progress: Progress
    stopped_early: bool


def train_loop(
    classifier: PackedClassifier,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    evaluate: Callable[[], Metrics],
    settings: LoopSettings,
    paths: TrainingPaths,
    reporter: Reporter,
    accelerator: Any,
    *,
    resume: bool = False,
) -> Outcome:
    """Train `classifier` in place; it ends with the weights of its best epoch.

    Args:
        evaluate: returns the validation metrics of the current classifier.
        accelerator: accelerate's `Accelerator`; it places the model and averages gradients over processes.
        resume: continue from the latest checkpoint, if there is one.

    Raises:
        UserError: a loss or gradient is not finite (before the update), or the checkpoint is another run's.
    """
    model, optimizer = accelerator.prepare(classifier, optimizer)
    recorder = Recorder(
        paths, trainable_state(classifier), optimizer, settings.checkpoint_seconds, accelerator.is_main_process
    )
    progress = recorder.begin(resume=resume)
    step_size = settings.batch_size * settings.gradient_accumulation_steps
    steps_per_epoch = math.ceil(len(data.texts) / step_size)
    stepper = _Stepper(model, optimizer, data, settings, accelerator, steps_per_epoch)
    reporter.start(stepper.total_steps, progress.step)
    try:
        while progress.step < stepper.total_steps and not _out_of_patience(progress, settings):
            steps = training_steps(len(data.texts), step_size, seed=settings.seed, epoch=progress.epoch + 1)
            steps = steps[: progress.steps_in_epoch + stepper.total_steps - progress.step]
            for step in steps[progress.steps_in_epoch :]:
                result = stepper.take(step, progress)
                progress = result.progress
                reporter.step(progress.step, result.loss, result.examples_per_second)
                # The end of the epoch saves its own checkpoint, which must not replace one of the last step.
                recorder.after_step(progress, result.log_entry(steps_per_epoch), may_save=step is not steps[-1])
            validation = evaluate()
            train_loss = progress.loss_sum / progress.examples
            progress, best = _end_epoch(progress, validation, settings.best_metric)
            recorder.after_epoch(progress, _epoch_entry(progress, train_loss, validation), best=best)
            reporter.epoch(progress.epoch, train_loss, validation, best)
    finally:
        reporter.stop()
    accelerator.wait_for_everyone()
    recorder.restore_best(progress)
    accelerator.free_memory()  # otherwise it keeps the model and the optimizer alive
    return Outcome(progress, stopped_early=progress.step < stepper.total_steps)


@dataclass(frozen=True)
class _StepResult:
    """The result of one optimizer step."""

    progress: Progress
    loss: float
    learning_rate: float
    gradient_norm: float
    examples_per_second: float

    def log_entry(self, steps_per_epoch: int) -> dict[str, Any]:
        return {
            "event": "step",
            "step": self.progress.step,
            "epoch": self.progress.step / steps_per_epoch,
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "gradient_norm": self.gradient_norm,
            "examples_per_second": self.examples_per_second,
        }


@dataclass
class _Stepper:
    """Takes one optimizer step at a time: forward and backward for each micro-batch, clip, update."""

    model: Any
    optimizer: Any
    data: TrainingSet
    settings: LoopSettings
    accelerator: Any
    steps_per_epoch: int

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training, at most `max_steps`."""
        steps, limit = self.steps_per_epoch * self.settings.epochs, self.settings.max_steps
        return steps if limit is None else min(steps, limit)

    def take(self, step_examples: npt.NDArray[np.int64], progress: Progress) -> _StepResult:
        """Train on the examples of one step; every process takes its share."""
        start = time.perf_counter()
        settings, rank, world = self.settings, self.accelerator.process_index, self.accelerator.num_processes
        self.model.train()
        seed_dropout(_step_seed(settings.seed, progress.step, rank))
        factor = schedule_factor(
            settings.schedule, progress.step, self.total_steps, round(settings.warmup_ratio * self.total_steps)
        )
        if settings.schedule == "plateau":
            factor *= progress.plateau.factor
        rate = set_learning_rate(self.optimizer, factor)
        own_examples, size = step_examples[rank::world], math.ceil(settings.batch_size / world)
        micro_batches = [own_examples[begin : begin + size] for begin in range(0, len(own_examples), size)]
        counts = [len(indices_B) for indices_B in micro_batches]
        if not micro_batches:  # the others wait for a gradient: that of any example, which counts as 0
            micro_batches, counts = [step_examples[:1]], [0]
        losses = []
        for indices_B, count in zip(micro_batches, counts, strict=True):
            # Processes may have different numbers of micro-batches, so they synchronize once per step, at the last.
            with nullcontext() if indices_B is micro_batches[-1] else self.accelerator.no_sync(self.model):
                loss = self._loss(indices_B)
                losses.append(loss.detach())
                # Gradients are averaged over processes, so a micro-batch counts with its share of the step.
                self.accelerator.backward(loss * (count * world / len(step_examples)))
        limit = math.inf if settings.max_grad_norm is None else settings.max_grad_norm
        norm_tensor = self.accelerator.clip_grad_norm_(self.model.parameters(), limit)
        # The only place in a step where the host waits for the device; the values decide whether to update.
        *values, norm = torch.stack([*losses, norm_tensor]).tolist()
        for value, indices_B in zip(values, micro_batches, strict=True):
            self._require_finite(value, "loss", progress.step + 1, indices_B)
        loss_sum = sum((value * count for value, count in zip(values, counts, strict=True)), 0.0)
        self._require_finite(norm, "gradient", progress.step + 1, own_examples)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if world > 1:
            loss_sum = self.accelerator.reduce(torch.tensor(loss_sum, device=self.accelerator.device)).item()
        seconds = time.perf_counter() - start
        after = replace(
            progress,
            step=progress.step + 1,
            steps_in_epoch=progress.steps_in_epoch + 1,
            loss_sum=progress.loss_sum + loss_sum,
            examples=progress.examples + len(step_examples),
            train_seconds=progress.train_seconds + seconds,
            examples_seen=progress.examples_seen + len(step_examples),
        )
        return _StepResult(after, loss_sum / len(step_examples), rate, norm, after.examples_seen / after.train_seconds)

    def _loss(self, indices_B: npt.NDArray[np.int64]) -> torch.Tensor:
        """Mean cross-entropy of a micro-batch in nats, against classes or soft labels, plus the teacher's part."""
        batch = pack(
            self.data.texts, indices_B, share_prefixes=self.settings.share_prefixes, multiple=TOKEN_MULTIPLE
        ).to(self.accelerator.device)
        (targets,) = to_device([torch.from_numpy(self.data.targets[indices_B])], self.accelerator.device)
        logits_BC = self.model(batch)
        loss, teacher = F.cross_entropy(logits_BC, targets), self.data.teacher
        if teacher is None:
            return loss
        return torch.lerp(loss, teacher.loss(logits_BC, indices_B), teacher.weight)

    def _require_finite(self, value: float, what: str, step: int, indices: npt.NDArray[np.int64]) -> None:
        if not math.isfinite(value):
            rows = ", ".join(str(row) for row in self.data.rows[indices][:32])
            raise UserError(
                f"the {what} became {value} at step {step}; the weights were not updated",
                where=f"train rows {rows}",
                fix="Lower training.learning_rate, or check these rows for broken texts.",
            )


def _step_seed(seed: int, step: int, rank: int) -> int:
    """One well-separated seed per step and process, so that dropout does not depend on earlier steps."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _end_epoch(progress: Progress, validation: Metrics, best_metric: str) -> tuple[Progress, bool]:
    """Count the epoch, and return whether it is the best so far: by the metric, ties broken by the loss.

    On a small validation split that is soon perfect, the first perfect epoch is far less confident than later ones.
    """
    value, loss = validation.value(best_metric), validation.loss
    best = progress.best_loss is None or (_score(value, best_metric), -loss) > (
        _score(progress.best_value, best_metric),
        -progress.best_loss,
    )
    epoch = progress.epoch + 1
    return (
        replace(
            progress,
            epoch=epoch,
            steps_in_epoch=0,
            loss_sum=0.0,
            examples=0,
            best_epoch=epoch if best else progress.best_epoch,
            best_value=value if best else progress.best_value,
            best_loss=loss if best else progress.best_loss,
            plateau=progress.plateau.after(loss),
        ),
        best,
    )


def _score(value: float | None, metric: str) -> float:
    """Higher is better; an undefined metric is the lowest."""
    if value is None:
        return -math.inf
    return -value if metric == "loss" else value


def _out_of_patience(progress: Progress, settings: LoopSettings) -> bool:
    patience = settings.early_stopping_patience
    return patience is not None and progress.epoch - progress.best_epoch >= patience and progress.epoch > 0


def _epoch_entry(progress: Progress, train_loss: float, validation: Metrics) -> dict[str, Any]:
    names = ("loss", "accuracy", "precision", "recall", "f1", "roc_auc")
    return {
        "event": "epoch",
        "epoch": progress.epoch,
        "step": progress.step,
        "train_loss": train_loss,
        "validation": {name: validation.value(name) for name in names},
        "seconds": progress.train_seconds,
    }
