"""The tanh approximation of GELU (Hendrycks & Gimpel 2016, arXiv:1606.08415), computed without a tanh.

0.5 (1 + tanh(u / 2)) equals sigmoid(u), so GELU is x sigmoid(u) with u = 2 sqrt(2 / pi) (x + 0.044715 x^3). torch's
vectorized sigmoid takes a fraction of the time of its tanh, which torch's fused GELU computes in both directions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

LINEAR = 2 * math.sqrt(2 / math.pi)
CUBIC = LINEAR * 0.044715
_CHUNK = 1 << 19  # elements computed at a time: 2 MB in float32


class TanhGELU(nn.Module):
    """transformers' `gelu_new` and `gelu_pytorch_tanh`, equal to 1e-6."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        if x.device.type != "cpu":
            return functional.gelu(x, approximate="tanh")
        y: Tensor = _TanhGELU.apply(x)  # type: ignore[no-untyped-call]
        return y


class _TanhGELU(torch.autograd.Function):
    """Computed in float32 and returned in x's dtype; saves only the slope, so that backward is a single product.

    The input is processed in chunks small enough that all intermediate results stay in a core's cache. Those of a whole
    layer would pass through memory ten times, and be allocated and freed each time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        flat = x.reshape(-1)
        y, slope = torch.empty_like(flat), torch.empty_like(flat) if ctx.needs_input_grad[0] else None
        buffer_3P = torch.empty(3, min(_CHUNK, len(flat)), dtype=torch.promote_types(x.dtype, torch.float32))
        for begin in range(0, len(flat), _CHUNK):
            chunk = slice(begin, begin + _CHUNK)
            _compute(flat[chunk], y[chunk], None if slope is None else slope[chunk], buffer_3P)
        if slope is not None:
            ctx.save_for_backward(slope.view(x.shape))
        return y.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        product: Tensor = gradient * slope
        return product


def _compute(x_N: Tensor, y_N: Tensor, slope_N: Tensor | None, buffer_3P: Tensor) -> None:
    """Write GELU and its slope for the N elements of x; the buffer holds at least as many (P >= N)."""
    wide, u, sigmoid = buffer_3P[:, : len(x_N)]
    wide.copy_(x_N)
    torch.addcmul(wide.new_tensor(LINEAR), wide, wide, value=CUBIC, out=u).mul_(wide)
    torch.sigmoid(u, out=sigmoid)
    if slope_N is not None:
        # d/dx x s(u) = s + s (1 - s) x u', where x u' = 3 (u - 2/3 LINEAR x)
        third = u.sub_(wide, alpha=2 / 3 * LINEAR)
        third.addcmul_(third, sigmoid, value=-1)
        slope_N.copy_(torch.addcmul(sigmoid, sigmoid, third, value=3, out=third))
    torch.mul(wide, sigmoid, out=y_N if y_N.dtype == wide.dtype else wide)
    if y_N.dtype != wide.dtype:
        y_N.copy_(wide)
