"""A training that takes a fraction of a second: a tiny model and a few random texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from feathertune.folders.metrics import Metrics
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    find_targets,
    trainable_state,
)
from feathertune.model.classifier import PackedClassifier
from feathertune.prediction.inference import predict_logits
from feathertune.training.dataset import TrainingSet
from feathertune.training.loop import LoopSettings, Outcome, train_loop
from feathertune.training.optimizer import build_optimizer
from feathertune.training.record import TrainingPaths
from feathertune.training.reporter import Reporter, SilentReporter
from tiny import random_texts, tiny_classifier

SETTINGS = LoopSettings(
    epochs=3,
    batch_size=8,
    gradient_accumulation_steps=1,
    warmup_ratio=0.1,
    schedule="linear",
    max_grad_norm=1.0,
    best_metric="loss",
    early_stopping_patience=None,
    seed=0,
    checkpoint_seconds=0.0,  # a checkpoint after every step
)


def lora_classifier(name: str = "bert", *, dropout: float = 0.0, seed: int = 0) -> PackedClassifier:
    """A tiny classifier with LoRA of rank 4 on its attention; `dropout` is every dropout's rate."""
    classifier = tiny_classifier(name, seed=seed)
    set_dropout(classifier, dropout)
    names = find_targets(classifier, "attention")
    add_lora(classifier, LoraShape(rank=4, alpha=8.0, dropout=dropout, rslora=False, names=names), seed)
    return classifier


def set_dropout(model: torch.nn.Module, rate: float) -> None:
    """Set the rate of every dropout of a transformers model."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate


def random_set(count: int = 44, *, soft: bool = False, seed: int = 0) -> TrainingSet:
    """`count` random texts of 2 to 9 tokens with random targets of three classes. Row i + 2 is text i."""
    rng = np.random.default_rng(seed)
    texts = random_texts(rng.integers(2, 10, size=count).tolist(), seed)
    targets = rng.dirichlet([1, 1, 1], size=count).astype(np.float32) if soft else rng.integers(0, 3, size=count)
    return TrainingSet(texts, targets, np.arange(2, count + 2))


def metrics(loss: float, **others: float | None) -> Metrics:
    """The result of an evaluation, for loops whose other metrics do not matter."""
    values = {"loss": loss, "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "roc_auc": None, **others}
    return Metrics(
        split="validation",
        num_examples=2,
        averaging="binary",
        positive_label="yes",
        per_class={},
        confusion_matrix=((1, 0), (1, 0)),
        label_names=("no", "yes"),
        **values,
    )


def train(
    folder: Path,
    classifier: PackedClassifier,
    data: TrainingSet,
    *,
    evaluate: Callable[[], Metrics] | None = None,
    reporter: Reporter | None = None,
    resume: bool = False,
    fingerprint: str = "this run",
    learning_rate: float = 1e-2,
    weight_decay: float = 0.01,
    **changes: Any,
) -> Outcome:
    """Train by `SETTINGS` with `changes`. By default the validation loss is that of the training texts."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = build_optimizer(
        classifier, learning_rate=learning_rate, head_learning_rate=None, weight_decay=weight_decay
    )
    return train_loop(
        classifier,
        optimizer,
        data,
        evaluate or (lambda: metrics(mean_loss(classifier, data))),
        replace(SETTINGS, **changes),
        TrainingPaths(folder / "metrics.jsonl", folder / "checkpoints", fingerprint),
        reporter or SilentReporter(),
        Accelerator(mixed_precision="no"),
        resume=resume,
    )


def mean_loss(classifier: PackedClassifier, data: TrainingSet) -> float:
    """Mean cross-entropy of the classifier as it is, without dropout."""
    logits_NC = torch.from_numpy(predict_logits(classifier, data.texts))
    return float(torch.nn.functional.cross_entropy(logits_NC, torch.from_numpy(data.targets)))


def weights_of(classifier: PackedClassifier) -> dict[str, torch.Tensor]:
    """A copy of the trained weights."""
    return {name: tensor.detach().clone() for name, tensor in trainable_state(classifier).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two copies agree bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The entries of metrics.jsonl without the speeds, which differ between runs."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("seconds", "examples_per_second")}
        for line in lines
    ]


class Recorder(SilentReporter):
    """Keeps the loss of every step and a copy of the weights after every epoch."""

    def __init__(self, classifier: PackedClassifier) -> None:
        self.classifier = classifier
        self.losses: list[float] = []
        self.epochs: list[dict[str, torch.Tensor]] = []
        self.stopped = 0

    def step(self, step: int, loss: float, examples_per_second: float) -> None:
        assert step == len(self.losses) + 1
        assert examples_per_second > 0
        self.losses.append(loss)

    def epoch(self, epoch: int, train_loss: float, validation: Metrics, best: bool) -> None:
        self.epochs.append(weights_of(self.classifier))

    def stop(self) -> None:
        self.stopped += 1


def scripted(*losses: float, **others: Any) -> Callable[[], Metrics]:
    """An evaluation with invented losses, one for each epoch."""
    remaining = iter(losses)
    return lambda: metrics(next(remaining), **others)
