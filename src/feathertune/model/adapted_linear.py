"""A frozen linear layer with a trainable low-rank update.

LoRA (Hu et al. 2021, arXiv:2106.09685): y = W x + b + s B A dropout(x), with A [R, I], B [O, R] and s = alpha / R,
or alpha / sqrt(R) for rank-stabilized LoRA (Kalajdzievski 2023, arXiv:2312.03732).

Letters: T tokens, I inputs, O outputs, R rank, E = I + R.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from feathertune.kernels.dropout import dropout_mask
from feathertune.kernels.fast_linear import FastLinear
from feathertune.kernels.matmul import matmul


class MergeableLinear(nn.Module):
    """A layer that replaces a linear layer during training, and is itself replaced by `merged` afterwards."""

    def merged(self) -> nn.Module:
        """The layer that is deployed."""
        raise NotImplementedError


class AdaptedLinear(MergeableLinear):
    """`W x + b` with a frozen W [O, I], plus `s B A x`. B starts at zero, so it starts as the layer it replaces.

    Everything is computed in W's dtype. The factors and their gradients are always float32.

    W is stored as the left part of one matrix [W | B] of shape [O, E]. Its product with [x | s A x] is the complete
    output, and its product with the output's gradient is the gradient of both parts. So the update needs no extra pass
    over [T, O].
    """

    def __init__(self, linear: nn.Linear, rank: int, scaling: float, dropout: float) -> None:
        super().__init__()
        self.weight = linear.weight.requires_grad_(False)
        self.bias = None if linear.bias is None else linear.bias.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(rank, linear.in_features, device=linear.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank, device=linear.weight.device))
        self.scaling = scaling
        self.dropout = dropout
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))  # as PEFT and the paper's code do
        self.set_compute_dtype(linear.weight.dtype)
        self.train(linear.training)

    def set_compute_dtype(self, dtype: torch.dtype) -> None:
        """Store W and b in `dtype`, and compute in it."""
        outputs, inputs = self.weight.shape
        self._extended_OE = self.weight.new_empty(outputs, inputs + self.lora_A.shape[0], dtype=dtype)
        self._extended_OE[:, :inputs] = self.weight.detach()
        self.weight = nn.Parameter(self._extended_OE[:, :inputs], requires_grad=False)
        if self.bias is not None:
            self.bias = nn.Parameter(self.bias.to(dtype), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O] in W's dtype."""
        mask, scale = dropout_mask(x, self.weight.dtype, self.dropout) if self.training else (None, 1.0)
        y: Tensor = _Adapted.apply(  # type: ignore[no-untyped-call]
            x, self._extended_OE, self.bias, self.lora_A, self.lora_B, self.scaling * scale, mask
        )
        return y

    def merged(self) -> FastLinear:
        """A plain linear layer with the weight W + s B A, computed in float32 and rounded once to W's dtype."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0], bias=self.bias is not None, device="meta")
        with torch.no_grad():
            weight = torch.addmm(self.weight.float(), self.lora_B, self.lora_A, alpha=self.scaling)
        linear.weight = nn.Parameter(weight, requires_grad=False)
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias, requires_grad=False)
        return FastLinear.from_linear(linear, self.weight.dtype)

    def extra_repr(self) -> str:
        """For print(model)."""
        rank, width = self.lora_A.shape
        return f"in={width}, out={self.weight.shape[0]}, rank={rank}, scaling={self.scaling:g}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AdaptedLinear:
        """Rebuild [W | B]: moving W to another device or dtype detaches it from the matrix that it is a view of."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.set_compute_dtype(self.weight.dtype)
        return self


class _Adapted(torch.autograd.Function):
    """y = x W' + b + s (x * mask) A' B', without any gradient for the frozen W and b.

    `mask` is 0 or 1, which is exact in any dtype; dropout's scale is part of s.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        extended_OE: Tensor,
        bias: Tensor | None,
        a_RI: Tensor,
        b_OR: Tensor,
        scaling: float,
        mask: Tensor | None,
    ) -> Tensor:
        """[..., I] -> [..., O]. `extended_OE` is [W | B]; its right part is updated first."""
        inputs, dtype = a_RI.shape[1], extended_OE.dtype
        extended_OE.data[:, inputs:] = b_OR  # .data, so that another forward pass with the same B is still possible
        x_TE = x.new_empty(x.numel() // inputs, extended_OE.shape[1], dtype=dtype)
        x_TI, low_TR = x.reshape(-1, inputs).to(dtype), x_TE[:, inputs:]
        x_TE[:, :inputs] = x_TI
        mask_TI = None if mask is None else mask.reshape(-1, inputs)
        dropped_TI = x_TI if mask_TI is None else x_TI * mask_TI
        torch.mul(matmul(dropped_TI, a_RI.to(dtype)), scaling, out=low_TR)
        y_TO = matmul(x_TE, extended_OE, bias)
        ctx.save_for_backward(dropped_TI, low_TR, extended_OE, a_RI, b_OR, mask_TI)
        ctx.scaling, ctx.shape, ctx.dtype = scaling, x.shape, x.dtype
        return y_TO.reshape(*x.shape[:-1], y_TO.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """[..., O] -> the gradients of x (if needed), A and B."""
        dropped_TI, low_TR, extended_OE, a_RI, b_OR, mask_TI = ctx.saved_tensors  # raises if B was changed since
        inputs = a_RI.shape[1]
        gradient_TO = gradient.reshape(-1, gradient.shape[-1])
        gradient_b_OR = matmul(low_TR.T, gradient_TO.T).T  # many times faster than the transposed product
        needed_OE = extended_OE if ctx.needs_input_grad[0] else b_OR.to(gradient.dtype)
        gradient_TE = matmul(gradient_TO, needed_OE.T)
        low_gradient_TR = gradient_TE[:, -a_RI.shape[0] :] * ctx.scaling
        gradient_a_RI = matmul(low_gradient_TR.T, dropped_TI.T)
        gradient_x = None
        if ctx.needs_input_grad[0]:
            update_TI = matmul(low_gradient_TR, a_RI.to(gradient.dtype).T)
            gradient_TI = gradient_TE[:, :inputs]
            if mask_TI is None:
                gradient_TI = update_TI.add_(gradient_TI)
            else:
                gradient_TI = torch.addcmul(gradient_TI, update_TI, mask_TI)
            gradient_x = gradient_TI.to(ctx.dtype).reshape(ctx.shape)
        return gradient_x, None, None, gradient_a_RI.to(a_RI.dtype), gradient_b_OR.to(a_RI.dtype), None, None
