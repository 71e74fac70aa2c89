"""Dropout that does not cost a quarter of the step on a CPU.

torch draws one Bernoulli variate an element, about 10 ns each; 16 random bits an element decide as well. Same
distribution (the rate is rounded to 1/65,536 and the scale follows the rounded rate, so the mean is exact). The bits
come from one stream, drawn in blocks: beside large matrix products every small call costs 20 to 100 us, because its
code and data have left the caches.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 65_536  # values of 16 random bits
_BLOCK = 1 << 18  # words of 64 bits drawn at a time: 2 MB, a million decisions


class _Stream:
    """Random bits from a seed (SFC64), drawn when they are needed and handed out in order."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.SFC64(seed))
        self._bits = torch.empty(0, dtype=torch.int16)

    def take(self, count: int) -> Tensor:
        """[count] int16, uniform over all its values."""
        if len(self._bits) < count:
            words = self._generator.integers(0, 2**64, max(_BLOCK, (count + 3) // 4), dtype=np.uint64)
            self._bits = torch.from_numpy(words.view(np.int16))
        taken, self._bits = self._bits[:count], self._bits[count:]
        return taken

    def fork(self) -> _Stream:
        """Another stream that hands out what this one will from here on."""
        other = _Stream(0)
        other._generator, other._bits = copy.deepcopy(self._generator), self._bits
        return other


_stream = _Stream(0)


def seed_dropout(seed: int) -> None:
    """Begin anew, on every device: what is dropped from here on follows from `seed` alone."""
    global _stream
    _stream = _Stream(seed)
    torch.manual_seed(seed)


class SameDropout:
    """A context in which the CPU's masks are once more those that came after the context was made."""

    def __init__(self) -> None:
        self._from = _stream.fork()

    def __enter__(self) -> None:
        global _stream
        self._outer, _stream = _stream, self._from.fork()

    def __exit__(self, *_: object) -> None:
        global _stream
        _stream = self._outer


class Dropout(nn.Dropout):
    """An `nn.Dropout` (so that whoever looks for one finds it) that draws as `dropout` does."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]: zero with probability p and scaled by 1 / (1 - p) in training, `x` itself otherwise."""
        return dropout(x, self.p) if self.training else x


def dropout(x: Tensor, rate: float) -> Tensor:
    """[...] -> [...]: each element zero with probability `rate`, else scaled by 1 / (1 - rate). In float32 or wider.

    A bfloat16 product would round the scale: a mean that is off by a part in 600 in every layer.
    """
    if rate <= 0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    keep, scale = dropout_mask(x, torch.promote_types(x.dtype, torch.float32), rate)
    return x if keep is None else x * keep.mul_(scale)


def dropout_mask(x: Tensor, dtype: torch.dtype, rate: float) -> tuple[Tensor | None, float]:
    """What dropout at `rate` multiplies x by: (0 or 1 for each element, in `dtype`; the scale of those kept).

    No mask where nothing is dropped.
    """
    if rate <= 0:
        return None, 1.0
    threshold = round(rate * _LEVELS)
    if x.device.type != "cpu" or threshold in (0, _LEVELS):
        keep = torch.empty(x.shape, dtype=dtype, device=x.device).bernoulli_(1 - rate)
        return keep, 1 / (1 - rate) if rate < 1 else 1.0
    bits = _stream.take(x.numel()).view(x.shape)
    # Comparing straight into floats takes a quarter of the time of comparing, converting and scaling.
    keep = torch.empty(x.shape, dtype=dtype)
    return torch.ge(bits, threshold - _LEVELS // 2, out=keep), _LEVELS / (_LEVELS - threshold)
