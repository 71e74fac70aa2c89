"""A linear layer whose products run on the fastest kernel, in float32 or with bfloat16 operands."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from feathertune.kernels.matmul import matmul


class FastLinear(nn.Linear):
    """An `nn.Linear` (so that whoever looks for one finds it) computed in `compute`, whatever x's dtype.

    A frozen weight is held in that dtype, so nothing is cast at its use. A trained one stays float32 and is cast.
    """

    compute: torch.dtype

    @classmethod
    def of(cls, linear: nn.Linear, compute: torch.dtype) -> FastLinear:
        """The same layer; it takes over the parameters, a frozen one in the dtype `compute`."""
        fast = cls(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        fast.weight, fast.bias = _held(linear.weight, compute), _held(linear.bias, compute)
        fast.compute = compute
        return fast.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O] in `compute`."""
        y: Tensor = _Linear.apply(x, self.weight, self.bias, self.compute)  # type: ignore[no-untyped-call]
        return y


def _held(parameter: Any, compute: torch.dtype) -> Any:
    if parameter is None or parameter.requires_grad or parameter.dtype == compute:
        return parameter
    return nn.Parameter(parameter.to(compute), requires_grad=False)


class _Linear(torch.autograd.Function):
    """y = x W' + b with every product in one dtype; gradients come back in the dtypes of what they belong to."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, compute: torch.dtype) -> Tensor:
        x_TI, weight_OI = x.reshape(-1, x.shape[-1]).to(compute), weight.to(compute)
        y_TO = matmul(x_TI, weight_OI, None if bias is None else bias.to(compute))
        ctx.save_for_backward(x_TI if weight.requires_grad else None, weight_OI)
        ctx.shape, ctx.dtype, ctx.weight_dtype = x.shape, x.dtype, weight.dtype
        return y_TO.reshape(*x.shape[:-1], y_TO.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x_TI, weight_OI = ctx.saved_tensors
        gradient_TO = gradient.reshape(-1, gradient.shape[-1])
        gradient_x = gradient_weight = gradient_bias = None
        if ctx.needs_input_grad[0]:
            gradient_x = matmul(gradient_TO, weight_OI.T).to(ctx.dtype).reshape(ctx.shape)
        if ctx.needs_input_grad[1]:
            gradient_weight = (gradient_TO.T @ x_TI).to(ctx.weight_dtype)
        if ctx.needs_input_grad[2]:
            gradient_bias = gradient_TO.sum(0, dtype=torch.float32).to(ctx.weight_dtype)
        return gradient_x, gradient_weight, gradient_bias, None
