"""The trainings of a run as its report describes them: none, one, or two if quantization-aware training (QAT) followed.

A run with `init_from` has no first training; one that only quantizes has no second.
"""

from __future__ import annotations

from dataclasses import dataclass

from feathertune.folders.summary import TrainingSummary
from feathertune.report.facts import RunFacts
from feathertune.report.history import History
from feathertune.wording.numbers import count


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        quantized: whether it was QAT.
        epochs: epochs started; the last one may have been cut short.
        best_epoch: the epoch whose weights were kept; None for a model soup, since each member has its own.
        learning_rate: the highest one of the schedule.
        steps, length: optimizer steps, and the same in epochs, if `training.max_steps` ended the training within an
            epoch; None if it ended with one.
    """

    quantized: bool
    epochs: int
    best_epoch: int | None
    learning_rate: float
    steps: int | None = None
    length: float | None = None

    @property
    def length_in_words(self) -> str:
        """'3 epochs', or '44 steps (0.44 of an epoch)' if it ended within one."""
        if self.length is None or self.steps is None:
            return count(self.epochs, "epoch")
        epochs = f"{min(self.length, 0.99):.2g} of an epoch" if self.length < 1 else f"{self.length:.2f} epochs"
        return f"{count(self.steps, 'step')} ({epochs})"

    @property
    def best_in_words(self) -> str | None:
        """'2 of 3'; None if no epoch was chosen."""
        if self.best_epoch is None or (self.length is not None and self.epochs == 1):
            return None
        cut = ", the last one cut short" if self.length is not None else ""
        return f"{self.best_epoch} of {self.epochs}{cut}"


def trainings(facts: RunFacts) -> tuple[Training, ...]:
    """The trainings in order; none for a baseline, which has no epochs, or for a run that only quantizes."""
    if facts.base is None:
        return ()
    done, quantization = facts.summary.trainings, facts.summary.quantization
    has_qat = quantization is not None and quantization.training is not None
    return tuple(
        _training(facts, one, quantized=has_qat and number == len(done)) for number, one in enumerate(done, start=1)
    )


def _training(facts: RunFacts, summary: TrainingSummary, *, quantized: bool) -> Training:
    rate, quantize = facts.recipe.training.learning_rate, facts.recipe.quantize
    if quantized and quantize is not None:
        rate = quantize.learning_rate or rate
    history = (facts.qat_history if quantized else None) or facts.history
    return Training(quantized, summary.epochs, summary.best_epoch, rate, *_cut_short(facts, history))


def _cut_short(facts: RunFacts, history: History) -> tuple[int | None, float | None]:
    """The steps of a training that ended within an epoch, and the same in epochs."""
    if facts.recipe.training.max_steps is None or not history.steps or history.steps[-1].epoch.is_integer():
        return None, None
    return history.steps[-1].step, history.steps[-1].epoch
