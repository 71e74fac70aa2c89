"""The contenders of training_speed.py, and the settings and results of their turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from feathertune.tokens.order import training_steps
from feathertune.tokens.tokenized import TokenizedTexts
from measuring import StepClock
from shapes import Shape

RATE, DECAY, ALPHA, LABELS = 1e-4, 0.01, 32, ("no", "yes")


@dataclass(frozen=True)
class Contender:
    """One way to train.

    Attributes:
        title: its name in the table.
        side: Trainer, with PEFT unless the fine-tune is full, or Feathertune.
        method: what is trained. Feathertune's methods are the entries of `our_trainer.METHODS`.
        precision: for Trainer, bf16 means autocast.
        flags: whether Trainer groups by length and uses 'medium' products.
        pad_to: the length that every text is padded to, in tokens; None for the longest of the batch.
        larger_batch: whether it uses the best batch of the sweep instead of the common one.
        without_dropout: whether it also has a row without dropout.
        max_rounds: slow contenders do not take part in every round.
    """

    title: str
    side: Literal["trainer", "feathertune"]
    method: str = "lora"
    precision: Literal["fp32", "bf16"] = "fp32"
    flags: bool = False
    pad_to: int | None = None
    larger_batch: bool = False
    without_dropout: bool = False
    max_rounds: int = 100


# A new method of Feathertune needs an entry here and one in `our_trainer.METHODS`.
CONTENDERS: dict[str, Contender] = {
    "peft": Contender("PEFT + Trainer, dynamic padding, fp32", "trainer", without_dropout=True),
    "peft-flags": Contender(
        "PEFT + Trainer, every flag", "trainer", precision="bf16", flags=True, without_dropout=True
    ),
    "peft-flags-best": Contender(
        "PEFT + Trainer, every flag, best batch", "trainer", precision="bf16", flags=True, larger_batch=True
    ),
    "peft-128": Contender("PEFT + Trainer, padded to 128, fp32", "trainer", pad_to=128, max_rounds=1),
    "lora-fp32": Contender("Feathertune, fp32", "feathertune", without_dropout=True),
    "lora-bf16": Contender("Feathertune, bf16", "feathertune", precision="bf16", without_dropout=True),
    "qat8-fp32": Contender("Feathertune, QAT int8, fp32", "feathertune", "qat-int8"),
    "qat8-bf16": Contender("Feathertune, QAT int8, bf16", "feathertune", "qat-int8", "bf16"),
    "qat4-fp32": Contender("Feathertune, QAT int4, fp32", "feathertune", "qat-int4"),
    "qat4-bf16": Contender("Feathertune, QAT int4, bf16", "feathertune", "qat-int4", "bf16"),
    "trainer-full": Contender("Trainer, full, dynamic padding, fp32", "trainer", "full", max_rounds=2),
    "trainer-full-flags": Contender("Trainer, full, every flag", "trainer", "full", "bf16", flags=True, max_rounds=2),
    "full-fp32": Contender("Feathertune, full, fp32", "feathertune", "full", max_rounds=2),
    "full-bf16": Contender("Feathertune, full, bf16", "feathertune", "full", "bf16", max_rounds=2),
}


@dataclass(frozen=True)
class Turn:
    """The settings of one contender's turn.

    Attributes:
        texts: all data, in tokens.
        batch: examples per optimizer step.
        micro_batch: examples computed at a time; gradients are accumulated over a step.
        seed: determines the batches. In each round they are the same for all contenders that do not group by length.
    """

    shape: Shape
    contender: Contender
    texts: TokenizedTexts
    batch: int
    micro_batch: int
    rank: int
    dropout: float
    steps: int
    seconds: float
    warm_up: float
    seed: int

    def clock(self) -> StepClock:
        """A new clock for this turn."""
        return StepClock(self.steps, self.seconds, self.warm_up)

    def pool(self) -> TokenizedTexts:
        """The texts, repeated if there are too few for one turn."""
        wanted = self.clock().max_steps * self.batch
        times = -(-wanted // len(self.texts))
        lengths = np.tile(self.texts.lengths, times)
        return TokenizedTexts(np.tile(self.texts.ids, times), np.concatenate([[0], np.cumsum(lengths)]))

    def order(self, pool: TokenizedTexts) -> np.ndarray:
        """Indices of `pool`, step after step: random as in `train_loop`, or grouped by length as in Trainer."""
        if not self.contender.flags:
            return np.concatenate(training_steps(len(pool), self.batch, seed=self.seed, epoch=1))
        return self._grouped(pool)

    def _grouped(self, pool: TokenizedTexts) -> np.ndarray:
        """A few batches that are representative of Trainer's length-grouped order of all texts.

        In Trainer's own order, the longest batch comes first and lengths fall over the first hundred steps. So the
        batches are sorted by length and split into as many equal parts as steps are timed. The turn visits the parts
        repeatedly in one random order, each time with another batch from the middle of the part.
        """
        import torch
        from transformers.trainer_pt_utils import LengthGroupedSampler

        lengths = pool.lengths.tolist()
        generator = torch.Generator().manual_seed(self.seed)
        order = np.array(list(LengthGroupedSampler(self.batch, lengths=lengths, generator=generator)))
        batches = order[: len(order) // self.batch * self.batch].reshape(-1, self.batch)
        batches = batches[np.argsort(pool.lengths[batches].max(axis=1), kind="stable")]
        rng = np.random.default_rng(self.seed)
        parts = [rng.permutation(_middle(part)) for part in np.array_split(np.arange(len(batches)), self.steps)]
        visits = rng.permutation(len(parts))
        steps = self.clock().max_steps
        chosen = [parts[visits[step % len(parts)]] for step in range(steps)]
        picked = [part[(step // len(parts)) % len(part)] for step, part in enumerate(chosen)]
        return batches[picked].reshape(-1)


def _middle(part: np.ndarray) -> np.ndarray:
    """The middle third, at least one element."""
    third = len(part) // 3
    return part[third : len(part) - third]


@dataclass(frozen=True)
class Result:
    """The result of one turn.

    Attributes:
        examples_per_second: over all timed steps.
        steps: the number of timed steps.
        peak_mib: the peak memory of the process since its start.
        step_peak_mib: the peak memory during the timed steps.
        imports_mib: the memory of the process before it built anything.
    """

    examples_per_second: float
    steps: int
    peak_mib: float
    step_peak_mib: float
    imports_mib: float
