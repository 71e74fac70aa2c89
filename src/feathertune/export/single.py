"""The classifier for one text at a time, as small devices use it: no batch, no padding, no mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from feathertune.export.padded import plain_model
from feathertune.export.padded_attention import MASKED, PaddedPacking
from feathertune.kernels.gelu import CUBIC, LINEAR
from feathertune.model.classifier import PackedClassifier


class SigmoidGELU(nn.Module):
    """GELU's tanh approximation as x sigmoid(u): XNNPACK's own GELU is always the exact one."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        return x * torch.sigmoid(x * (LINEAR + CUBIC * (x * x)))


@dataclass(frozen=True)
class _Single(PaddedPacking):
    """One text, which fills its row. The attention bias is a slice of a constant."""

    owner: Any = field(default=None)

    def bias(self, causal: bool, window: int | None, _pooled_positions_B: Tensor | None) -> Tensor | None:
        """[1, 1, L, L], or None if every token attends to every other."""
        if not causal and (window is None or window >= self.owner.max_length):
            return None
        bias: Tensor = self.owner.bias(causal, window)
        return bias[:, :, : self.longest, : self.longest]

    def unpack(self, x_TD: Tensor) -> Tensor:
        """[L, D] -> [1, L, D]."""
        return x_TD[None]

    def distances(self) -> Tensor:
        """[L, L]: each key's position less each query's."""
        distances: Tensor = self.owner.distances()
        return distances[: self.longest, : self.longest]


class SingleTextClassifier(nn.Module):
    """input_ids [1, L] int64, L at most `max_length` -> logits [1, C] float32.

    ExecuTorch reserves memory for the longest text, and cannot resize `arange`: positions and masks are constants that
    are sliced to L. (They are one longer than any text, since `torch.export` specializes a slice that may keep the
    whole tensor.) It takes over the classifier's model.
    """

    positions_1L: Tensor
    distances_LL: Tensor

    def __init__(self, classifier: PackedClassifier, max_length: int) -> None:
        super().__init__()
        self.model = plain_model(classifier)
        for name, module in list(self.model.named_modules()):
            if isinstance(module, nn.GELU) and module.approximate == "tanh":
                self.model.set_submodule(name, SigmoidGELU())
        self.family, self.never_pooled = classifier.family, classifier.never_pooled
        self.max_length = max_length
        positions_1L = torch.arange(max_length + 1)[None] + self.family.first_position(self.model.config)
        self.register_buffer("positions_1L", positions_1L)
        self(torch.ones(1, max_length, dtype=torch.int64))  # creates the masks that the model needs

    def bias(self, causal: bool, window: int | None) -> Tensor:
        """[1, 1, max_length + 1, max_length + 1]: 0 where a query may attend, a very low number elsewhere."""
        name = f"bias_{'causal' if causal else 'both'}_{window or 'all'}"
        if not hasattr(self, name):
            slots_L = torch.arange(self.max_length + 1)
            distance_LL = slots_L[:, None] - slots_L
            allowed_LL = distance_LL >= 0 if causal else torch.ones_like(distance_LL, dtype=torch.bool)
            if window is not None:
                allowed_LL = allowed_LL & (distance_LL.abs() < window)
            self.register_buffer(name, torch.where(allowed_LL, 0.0, MASKED)[None, None])
        bias: Tensor = getattr(self, name)
        return bias

    def distances(self) -> Tensor:
        """[max_length + 1, max_length + 1] int64: each key's position less each query's."""
        if not hasattr(self, "distances_LL"):
            slots_L = torch.arange(self.max_length + 1)
            self.register_buffer("distances_LL", slots_L - slots_L[:, None])
        distances: Tensor = self.distances_LL
        return distances

    def forward(self, input_ids: Tensor) -> Tensor:
        """[1, L] -> [1, C]."""
        longest = input_ids.shape[1]
        none = input_ids[0, :0]  # nothing is pooled within the model, so starts and ends are not used
        packing = _Single(none, none, none, longest, none, none, longest, batch=1, owner=self)
        pooling = self.family.pooling(self.model.config)
        options = {"use_cache": False} if pooling == "last" else {}
        hidden_1TD = self.model.base_model(
            input_ids=input_ids, position_ids=self.positions_1L[:, :longest], packing=packing, **options
        ).last_hidden_state
        if pooling == "late":
            logits_1LC: Tensor = self.family.head(self.model, hidden_1TD).float()
            return logits_1LC.mean(1)
        if pooling == "mean":
            rows_BD = hidden_1TD.mean(1)
        else:
            rows_BD = hidden_1TD[:, 0] if pooling == "first" else self._last(hidden_1TD, input_ids)
        logits_BC: Tensor = self.family.head(self.model, rows_BD)
        return logits_BC.float()

    def _last(self, hidden_1TD: Tensor, input_ids: Tensor) -> Tensor:
        """[1, T, D], [1, T] -> [1, D]: the row of the last token that transformers does not take for padding."""
        if self.never_pooled is None:
            return hidden_1TD[:, -1]
        slots_1T = self.positions_1L[:, : input_ids.shape[1]] - self.positions_1L[:, :1]
        last_1 = (slots_1T * (input_ids != self.never_pooled)).amax(1)
        return torch.index_select(hidden_1TD, 1, last_1)[:, 0]
