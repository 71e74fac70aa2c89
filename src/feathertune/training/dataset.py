"""What is trained on: tokenized texts, their targets, and optionally a teacher's predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from feathertune.tokens.tokenized import TokenizedTexts
from feathertune.tokens.transfer import to_device


@dataclass(frozen=True)
class Teacher:
    """Predictions to learn from in addition to the targets (Hinton et al. 2015, arXiv:1503.02531).

    Attributes:
        logits_NC: [N, C] float32, of another model for the same texts.
        weight: the share of the distillation loss; the targets have the rest.
        temperature: what both models' logits are divided by.
    """

    logits_NC: npt.NDArray[np.float32]
    weight: float
    temperature: float

    def loss(self, logits_BC: torch.Tensor, indices_B: npt.NDArray[np.int64]) -> torch.Tensor:
        """Mean KL divergence of `logits_BC` from the teacher, in nats, times the temperature squared."""
        (teacher_BC,) = to_device([torch.from_numpy(self.logits_NC[indices_B])], logits_BC.device)
        student, teacher = (F.log_softmax(x / self.temperature, dim=1) for x in (logits_BC, teacher_BC))
        return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * self.temperature**2


@dataclass(frozen=True)
class TrainingSet:
    """N tokenized texts, their targets, and their rows in the source.

    Attributes:
        texts: the N texts.
        targets: [N] int64 classes, or [N, C] float32 probabilities (soft labels).
        rows: [N] int64 source rows, to name an example in an error.
        teacher: predictions to learn from as well.
    """

    texts: TokenizedTexts
    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    teacher: Teacher | None = None
