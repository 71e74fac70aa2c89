"""The trainings that a run did, one after the other: none, one, or a second one with the quantizers on.

A run that goes on from another one did no first training; one that only rounds did no second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feathertune.report.facts import RunFacts
from feathertune.report.history import History
from feathertune.terminal.run_tables import trainings_of


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        rounded: whether it had the quantizers on.
        epochs: begun; the last one may have been cut.
        best_epoch: the one whose weights were kept; None where several adapters have each their own.
        seconds, examples_per_second: of training steps alone.
        learning_rate: the largest that it had.
        steps, length: optimizer steps and how many epochs these are, where `training.max_steps` ended it within an
            epoch; None where it ended with one.
    """

    rounded: bool
    epochs: int
    best_epoch: int | None
    seconds: float
    examples_per_second: float
    learning_rate: float
    steps: int | None = None
    length: float | None = None

    @property
    def in_words(self) -> str:
        """'3 epochs', or '44 steps (0.44 of an epoch)' where it ended within one."""
        if self.length is None:
            return f"{self.epochs} epoch{'s' if self.epochs != 1 else ''}"
        passed = f"{min(self.length, 0.99):.2g} of an epoch" if self.length < 1 else f"{self.length:.2f} epochs"
        return f"{self.steps:,} step{'s' if self.steps != 1 else ''} ({passed})"

    @property
    def best_in_words(self) -> str | None:
        """'2 of 3'; None where no epoch was chosen."""
        if self.best_epoch is None or (self.length is not None and self.epochs == 1):
            return None
        cut = ", the last one cut short" if self.length is not None else ""
        return f"{self.best_epoch} of {self.epochs}{cut}"


def trainings(facts: RunFacts) -> tuple[Training, ...]:
    """In their order; none for a baseline, which has no epochs, and for a run that only rounded another one."""
    if facts.base is None:
        return ()
    done, quantizes = trainings_of(facts.summary), facts.summary.get("quantization", {}).get("training") is not None
    return tuple(_training(facts, one, rounded=quantizes and one is done[-1]) for one in done)


def _training(facts: RunFacts, numbers: Mapping[str, Any], *, rounded: bool) -> Training:
    rate, quantize = facts.recipe.training.learning_rate, facts.recipe.quantize
    if rounded and quantize is not None:
        rate = quantize.learning_rate or rate
    return Training(
        rounded,
        numbers["epochs"],
        numbers["best_epoch"],
        numbers["train_seconds"],
        numbers["train_examples_per_second"],
        rate,
        *_cut(facts, (facts.qat_history if rounded else None) or facts.history),
    )


def _cut(facts: RunFacts, history: History) -> tuple[int | None, float | None]:
    """Steps, and how many epochs these are, where training ended within an epoch."""
    if facts.recipe.training.max_steps is None or not history.steps or history.steps[-1].epoch.is_integer():
        return None, None
    return history.steps[-1].step, history.steps[-1].epoch
