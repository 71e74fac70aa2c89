"""The contenders of training_speed.py, and what one turn of one of them is told and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from feathertune.tokens.order import training_steps
from feathertune.tokens.tokenized import TokenizedTexts
from measuring import StepClock, peak_mib, quieten
from shapes import Shape

RATE, DECAY, ALPHA, LABELS = 1e-4, 0.01, 32, ("no", "yes")


@dataclass(frozen=True)
class Contender:
    """One way to train.

    Attributes:
        title: what it is called in the table.
        side: who trains: PEFT (or transformers alone, for a full fine-tune) with Trainer, or Feathertune.
        method: what is trained. Feathertune's methods are the entries of `our_trainer.METHODS`.
        precision: for Trainer, bf16 is autocast.
        flags: of Trainer: grouping by length, and 'medium' products.
        pad_to: tokens of every text, or None for the longest of its batch.
        larger_batch: whether it takes the best batch of the sweep instead of everyone's.
        without_dropout: whether it has a row without dropout too.
        most_rounds: slow ones do not take part in every round.
    """

    title: str
    side: Literal["trainer", "feathertune"]
    method: str = "lora"
    precision: Literal["fp32", "bf16"] = "fp32"
    flags: bool = False
    pad_to: int | None = None
    larger_batch: bool = False
    without_dropout: bool = False
    most_rounds: int = 100


# A further method of ours is an entry here and one in `our_trainer.METHODS`.
CONTENDERS: dict[str, Contender] = {
    "peft": Contender("PEFT + Trainer, dynamic padding, fp32", "trainer", without_dropout=True),
    "peft-flags": Contender(
        "PEFT + Trainer, every flag", "trainer", precision="bf16", flags=True, without_dropout=True
    ),
    "peft-flags-best": Contender(
        "PEFT + Trainer, every flag, best batch", "trainer", precision="bf16", flags=True, larger_batch=True
    ),
    "peft-128": Contender("PEFT + Trainer, padded to 128, fp32", "trainer", pad_to=128, most_rounds=1),
    "lora-fp32": Contender("Feathertune, fp32", "feathertune", without_dropout=True),
    "lora-bf16": Contender("Feathertune, bf16", "feathertune", precision="bf16", without_dropout=True),
    "qat8-fp32": Contender("Feathertune, QAT int8, fp32", "feathertune", "qat-int8"),
    "qat8-bf16": Contender("Feathertune, QAT int8, bf16", "feathertune", "qat-int8", "bf16"),
    "qat4-fp32": Contender("Feathertune, QAT int4, fp32", "feathertune", "qat-int4"),
    "qat4-bf16": Contender("Feathertune, QAT int4, bf16", "feathertune", "qat-int4", "bf16"),
    "trainer-full": Contender("Trainer, full, dynamic padding, fp32", "trainer", "full", most_rounds=2),
    "trainer-full-flags": Contender("Trainer, full, every flag", "trainer", "full", "bf16", flags=True, most_rounds=2),
    "full-fp32": Contender("Feathertune, full, fp32", "feathertune", "full", most_rounds=2),
    "full-bf16": Contender("Feathertune, full, bf16", "feathertune", "full", "bf16", most_rounds=2),
}


@dataclass(frozen=True)
class Turn:
    """One contender's turn: everything that it is told.

    Attributes:
        texts: all of the data, in tokens.
        batch: examples of an optimizer step.
        micro_batch: examples computed at a time; the gradients of a step's are accumulated.
        seed: which batches are drawn: all contenders of a round that do not group draw the same.
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
        """A clock for this turn."""
        return StepClock(self.steps, self.seconds, self.warm_up)

    def pool(self) -> TokenizedTexts:
        """The texts, repeated if they are too few for one turn."""
        wanted = self.clock().most_steps * self.batch
        times = -(-wanted // len(self.texts))
        lengths = np.tile(self.texts.lengths, times)
        return TokenizedTexts(np.tile(self.texts.ids, times), np.concatenate([[0], np.cumsum(lengths)]))

    def order(self, pool: TokenizedTexts) -> np.ndarray:
        """Indices of `pool`, step after step: random, as `train_loop` draws them, or Trainer's grouping by length."""
        if not self.contender.flags:
            return np.concatenate(training_steps(len(pool), self.batch, seed=self.seed, epoch=1))
        return self._grouped(pool)

    def _grouped(self, pool: TokenizedTexts) -> np.ndarray:
        """Batches of Trainer's length-grouped order of everything, drawn so that few stand for all.

        As Trainer orders them, the first hundred steps would have falling lengths, and the very longest come first. So
        the batches are sorted and cut into as many equal parts as steps are timed, and the turn goes through the parts
        again and again in one random order, each time with another batch from the middle of the part.
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
        steps = self.clock().most_steps
        chosen = [parts[visits[step % len(parts)]] for step in range(steps)]
        picked = [part[(step // len(parts)) % len(part)] for step, part in enumerate(chosen)]
        return batches[picked].reshape(-1)


def _middle(part: np.ndarray) -> np.ndarray:
    """The middle third of it, at least one."""
    third = len(part) // 3
    return part[third : len(part) - third]


@dataclass(frozen=True)
class Result:
    """What one turn gave.

    Attributes:
        examples_per_second: of the timed steps together.
        steps: how many were timed.
        peak_mib: the most memory the process held, from its start on.
        step_peak_mib: the most it held during the timed steps.
        imports_mib: what it held before it built anything.
    """

    examples_per_second: float
    steps: int
    peak_mib: float
    step_peak_mib: float
    imports_mib: float


def take(turn: Turn) -> Result:
    """Take the turn, in this process."""
    quieten()
    imports_mib, clock = peak_mib(), turn.clock()
    if turn.contender.side == "trainer":
        from peft_trainer import train
    else:
        from our_trainer import train
    train(turn, clock)
    return Result(
        examples_per_second=len(clock.timed) * turn.batch / sum(clock.timed),
        steps=len(clock.timed),
        peak_mib=max(clock.peak_before_mib, peak_mib()),
        step_peak_mib=peak_mib(),
        imports_mib=imports_mib,
    )
