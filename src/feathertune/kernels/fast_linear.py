"""A linear layer that uses the fastest matrix product, in float32 or with bfloat16 operands."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from feathertune.kernels.matmul import matmul


class FastLinear(nn.Linear):
    """A linear layer computed in `compute_dtype`, whatever the dtype of its input.

    A subclass of `nn.Linear`, so that code that looks for one finds it. A frozen weight is stored in the compute dtype,
    so using it needs no cast. A trained weight stays in float32 and is cast in each forward pass.
    """

    compute_dtype: torch.dtype

    @classmethod
    def from_linear(cls, linear: nn.Linear, compute_dtype: torch.dtype) -> FastLinear:
        """The same layer. It takes over the parameters; frozen ones are converted to `compute_dtype`."""
        fast = cls(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        fast.weight = _cast_if_frozen(linear.weight, compute_dtype)
        fast.bias = _cast_if_frozen(linear.bias, compute_dtype)
        fast.compute_dtype = compute_dtype
        return fast.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O] in the compute dtype."""
        y: Tensor = _Linear.apply(x, self.weight, self.bias, self.compute_dtype)  # type: ignore[no-untyped-call]
        return y


def _cast_if_frozen(parameter: Any, dtype: torch.dtype) -> Any:
    if parameter is None or parameter.requires_grad or parameter.dtype == dtype:
        return parameter
    return nn.Parameter(parameter.to(dtype), requires_grad=False)


class _Linear(torch.autograd.Function):
    """y = x W' + b with every product in `compute_dtype`; each gradient has the dtype of its tensor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, compute_dtype: torch.dtype) -> Tensor:
        x_TI, weight_OI = x.reshape(-1, x.shape[-1]).to(compute_dtype), weight.to(compute_dtype)
        y_TO = matmul(x_TI, weight_OI, None if bias is None else bias.to(compute_dtype))
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
