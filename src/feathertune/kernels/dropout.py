"""Fast dropout on a CPU, where torch's own takes a quarter of a training step.

torch draws one Bernoulli variate per element, at about 10 ns each. 16 random bits per element are enough: the
distribution is the same, with the rate rounded to 1/65,536 and the scale computed from the rounded rate, so the mean is
exact. The bits come from one stream and are drawn in blocks. Between large matrix products every small call costs 20 to
100 us, because its code and data have left the caches.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 65_536  # number of values of 16 random bits
_BLOCK_WORDS = 1 << 18  # 64-bit words drawn at a time: 2 MB, enough for a million elements


class _BitStream:
    """A stream of random bits from a seed (SFC64), drawn on demand."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.SFC64(seed))
        self._bits = torch.empty(0, dtype=torch.int16)

    def take(self, count: int) -> Tensor:
        """The next `count` values: [count] int16, uniform over the whole range."""
        if len(self._bits) < count:
            words = self._generator.integers(0, 2**64, max(_BLOCK_WORDS, (count + 3) // 4), dtype=np.uint64)
            self._bits = torch.from_numpy(words.view(np.int16))
        taken, self._bits = self._bits[:count], self._bits[count:]
        return taken

    def fork(self) -> _BitStream:
        """An independent copy, which will return the same bits as this stream from here on."""
        other = _BitStream(0)
        other._generator, other._bits = copy.deepcopy(self._generator), self._bits
        return other


_stream = _BitStream(0)


def seed_dropout(seed: int) -> None:
    """Restart the random numbers on every device: all masks from here on depend on `seed` alone."""
    global _stream
    _stream = _BitStream(seed)
    torch.manual_seed(seed)


class ReplayDropout:
    """A context that repeats, on a CPU, the masks drawn since the context object was created."""

    def __init__(self) -> None:
        self._start = _stream.fork()

    def __enter__(self) -> None:
        global _stream
        self._outer, _stream = _stream, self._start.fork()

    def __exit__(self, *_: object) -> None:
        global _stream
        _stream = self._outer


class Dropout(nn.Dropout):
    """`dropout` as a module; a subclass of `nn.Dropout`, so that code that looks for one finds it."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]: zeroed with probability p, else scaled by 1 / (1 - p); in evaluation mode `x` itself."""
        return dropout(x, self.p) if self.training else x


def dropout(x: Tensor, rate: float) -> Tensor:
    """[...] -> [...]: each element zeroed with probability `rate`, else scaled by 1 / (1 - rate).

    The result is float32 or wider: in bfloat16 the scale would be rounded, and the mean off by 1/600 in every layer.
    """
    if rate <= 0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    mask, scale = dropout_mask(x, torch.promote_types(x.dtype, torch.float32), rate)
    return x if mask is None else x * mask.mul_(scale)


def dropout_mask(x: Tensor, dtype: torch.dtype, rate: float) -> tuple[Tensor | None, float]:
    """A dropout mask for `x`: (0 or 1 for each element, in `dtype`; the scale of the elements that are kept).

    The mask is None if the rate is 0.
    """
    if rate <= 0:
        return None, 1.0
    threshold = round(rate * _LEVELS)
    if x.device.type != "cpu" or threshold in (0, _LEVELS):
        mask = torch.empty(x.shape, dtype=dtype, device=x.device).bernoulli_(1 - rate)
        return mask, 1 / (1 - rate) if rate < 1 else 1.0
    bits = _stream.take(x.numel()).view(x.shape)
    # Writing the comparison directly as floats takes a quarter of the time of comparing, converting and scaling.
    mask = torch.empty(x.shape, dtype=dtype)
    return torch.ge(bits, threshold - _LEVELS // 2, out=mask), _LEVELS / (_LEVELS - threshold)
