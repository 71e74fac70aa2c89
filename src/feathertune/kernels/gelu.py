"""GELU's tanh approximation (Hendrycks & Gimpel 2016, arXiv:1606.08415) without a tanh.

0.5 (1 + tanh(u / 2)) is sigmoid(u), so GELU is x sigmoid(u) with u = 2 sqrt(2 / pi) (x + 0.044715 x^3). torch's
vectorized sigmoid takes a fraction of the time of its tanh, which its fused GELU pays twice, forward and backward.
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
_PART = 1 << 19  # numbers computed at a time: 2 MB in float32


class TanhGELU(nn.Module):
    """The GELU of GPT-2 (`gelu_new`) and Gemma (`gelu_pytorch_tanh`), equal to theirs to 1e-6."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        if x.device.type != "cpu":
            return functional.gelu(x, approximate="tanh")
        y: Tensor = _TanhGELU.apply(x)  # type: ignore[no-untyped-call]
        return y


class _TanhGELU(torch.autograd.Function):
    """Computed in float32, handed back in x's dtype; keeps the slope alone, so that backward is one product.

    By parts that stay in a core's cache with all that is computed on the way: a whole layer's float32 numbers would go
    through memory ten times, and be taken from the system and given back to it each time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        flat = x.reshape(-1)
        y, slope = torch.empty_like(flat), torch.empty_like(flat) if ctx.needs_input_grad[0] else None
        room = torch.empty(3, min(_PART, len(flat)), dtype=torch.promote_types(x.dtype, torch.float32))
        for begin in range(0, len(flat), _PART):
            part = slice(begin, begin + _PART)
            _compute(flat[part], y[part], None if slope is None else slope[part], room)
        if slope is not None:
            ctx.save_for_backward(slope.view(x.shape))
        return y.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        product: Tensor = gradient * slope
        return product


def _compute(x_N: Tensor, y_N: Tensor, slope_N: Tensor | None, room_3P: Tensor) -> None:
    """Fill y and its slope for the N numbers of x, in the room of P numbers or more."""
    wide, u, sigmoid = room_3P[:, : len(x_N)]
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
