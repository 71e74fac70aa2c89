"""Training by Feathertune, with the loop of `feathertune train`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from feathertune.model.adapt import LoraShape, add_lora, find_targets, train_everything
from feathertune.model.base import build_random
from feathertune.model.classifier import PackedClassifier
from feathertune.model.precision import set_precision
from feathertune.quantization.convert import fake_quantize
from feathertune.quantization.scheme import Scheme, Width, plan_quantization
from feathertune.training.dataset import TrainingSet
from feathertune.training.loop import LoopSettings, train_loop
from feathertune.training.optimizer import build_optimizer
from feathertune.training.record import TrainingPaths
from feathertune.training.reporter import SilentReporter
from measuring import StepClock
from turns import ALPHA, DECAY, LABELS, RATE, Turn


def _add_lora(classifier: PackedClassifier, turn: Turn) -> None:
    names = find_targets(classifier, turn.shape.targets)
    add_lora(classifier, LoraShape(turn.rank, float(ALPHA), turn.dropout, False, names), turn.seed)


def _train_everything(classifier: PackedClassifier, _turn: Turn) -> None:
    train_everything(classifier)


def _quantize_to(weights: Width) -> Callable[[PackedClassifier, Turn], None]:
    """LoRA with fake quantization, the second training of `method: qat`."""

    def method(classifier: PackedClassifier, turn: Turn) -> None:
        _add_lora(classifier, turn)
        fake_quantize(classifier, plan_quantization(classifier, Scheme(weights)), turn.contender.precision)

    return method


# Method -> what it does to the base before the precision is set.
METHODS: dict[str, Callable[[PackedClassifier, Turn], None]] = {
    "lora": _add_lora,
    "full": _train_everything,
    "qat-int8": _quantize_to("int8"),
    "qat-int4": _quantize_to("int4"),
}


def train(turn: Turn, clock: StepClock) -> None:
    """Train until `clock` ends the turn."""
    from accelerate import Accelerator

    classifier = build_random(turn.shape.config(turn.dropout), LABELS, turn.seed)
    METHODS[turn.contender.method](classifier, turn)
    set_precision(classifier, turn.contender.precision)
    optimizer = build_optimizer(classifier, learning_rate=RATE, head_learning_rate=None, weight_decay=DECAY)
    pool = turn.pool()
    labels = np.arange(len(pool)) % 2
    with tempfile.TemporaryDirectory() as folder:
        paths = TrainingPaths(Path(folder) / "metrics.jsonl", Path(folder) / "checkpoints", "benchmark")
        settings = LoopSettings(
            epochs=1,
            batch_size=turn.micro_batch,
            gradient_accumulation_steps=turn.batch // turn.micro_batch,
            warmup_ratio=0.0,
            schedule="linear",
            max_grad_norm=1.0,
            best_metric="loss",
            early_stopping_patience=None,
            seed=turn.seed,
        )
        data = TrainingSet(pool, labels, labels)
        try:
            train_loop(classifier, optimizer, data, _never, settings, paths, _Watch(clock), Accelerator(cpu=True))
        except _TurnOver:
            return
    raise RuntimeError("the epoch ended before the turn")


class _TurnOver(Exception):  # noqa: N818 - not an error
    pass


class _Watch(SilentReporter):
    """Passes the start and end of steps to the clock."""

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock

    def start(self, total_steps: int, done_steps: int) -> None:
        self._clock.start()

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        if self._clock.tick():
            raise _TurnOver


def _never() -> dict[str, Any]:
    raise RuntimeError("a turn ends before its epoch does")
