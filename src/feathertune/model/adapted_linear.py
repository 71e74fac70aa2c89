"""A frozen linear layer with a trained low-rank update.

LoRA (Hu et al. 2021, arXiv:2106.09685): y = W x + b + s B A dropout(x), with A [R, I], B [O, R] and s = alpha / R,
or alpha / sqrt(R) for rank-stabilized LoRA (Kalajdzievski 2023, arXiv:2312.03732).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from feathertune.model.dropout import keep_mask
from feathertune.model.fast_linear import FastLinear
from feathertune.model.product import add_product, product


class AdaptedLinear(nn.Module):
    """`W x + b` with W [O, I] frozen, plus `s B A x`. B starts at zero, so at first it is the layer it replaces.

    Everything is computed in W's dtype. The factors are float32 whatever that is, and so are their gradients.
    """

    def __init__(self, linear: nn.Linear, rank: int, scaling: float, dropout: float) -> None:
        super().__init__()
        self.weight = linear.weight.requires_grad_(False)
        self.bias = None if linear.bias is None else linear.bias.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(rank, linear.in_features, device=linear.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank, device=linear.weight.device))
        self.scaling = scaling
        self.dropout = dropout
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))  # PEFT's and the paper's code's choice
        self.train(linear.training)

    def hold_in(self, dtype: torch.dtype) -> None:
        """Keep W and b, and compute, in `dtype`."""
        self.weight = nn.Parameter(self.weight.to(dtype), requires_grad=False)
        if self.bias is not None:
            self.bias = nn.Parameter(self.bias.to(dtype), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O] in W's dtype."""
        x = x.to(self.weight.dtype)
        keep, scaling = None, self.scaling
        if self.training and self.dropout > 0:
            keep, scale = keep_mask(x, self.dropout)
            scaling *= scale
        y: Tensor = _Adapted.apply(x, self.weight, self.bias, self.lora_A, self.lora_B, scaling, keep)  # type: ignore[no-untyped-call]
        return y

    def merged(self) -> FastLinear:
        """A plain linear layer with the weight W + s B A, added in float32 and rounded to W's dtype once."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0], bias=self.bias is not None, device="meta")
        with torch.no_grad():
            weight = torch.addmm(self.weight.float(), self.lora_B, self.lora_A, alpha=self.scaling)
        linear.weight = nn.Parameter(weight, requires_grad=False)
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias, requires_grad=False)
        return FastLinear.of(linear, self.weight.dtype)

    def extra_repr(self) -> str:
        """For print(model)."""
        rank, width = self.lora_A.shape
        return f"in={width}, out={self.weight.shape[0]}, rank={rank}, scaling={self.scaling:g}"


class _Adapted(torch.autograd.Function):
    """y = x W' + b + s (x * keep) A' B', with nothing kept or computed for the frozen W and b.

    What autograd would do costs three more passes over [T, O]: the update apart, its scaling, and their sum. `keep` is
    0 or 1, exact in any dtype; dropout's factor is part of s.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a_RI: Tensor,
        b_OR: Tensor,
        scaling: float,
        keep: Tensor | None,
    ) -> Tensor:
        x_TI = x.reshape(-1, x.shape[-1])
        keep_TI = None if keep is None else keep.reshape(x_TI.shape)
        dropped_TI = x_TI if keep_TI is None else x_TI * keep_TI
        low_TR = product(dropped_TI, a_RI.to(x.dtype)).mul_(scaling)
        y_TO = add_product(product(x_TI, weight, bias), low_TR, b_OR.to(x.dtype))
        ctx.save_for_backward(dropped_TI, low_TR, weight, a_RI, b_OR, keep_TI)
        ctx.scaling, ctx.shape = scaling, x.shape
        return y_TO.reshape(*x.shape[:-1], y_TO.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        dropped_TI, low_TR, weight, a_RI, b_OR, keep_TI = ctx.saved_tensors
        gradient_TO = gradient.reshape(-1, gradient.shape[-1])
        low_gradient_TR = product(gradient_TO, b_OR.to(gradient.dtype).T).mul_(ctx.scaling)
        gradient_a_RI = (low_gradient_TR.T @ dropped_TI).to(a_RI.dtype)
        gradient_b_OR = (low_TR.T @ gradient_TO).T.to(b_OR.dtype)  # many times faster than the product the other way
        gradient_x = None
        if ctx.needs_input_grad[0]:
            gradient_TI = product(gradient_TO, weight.T)
            update_IR = a_RI.to(gradient.dtype).T
            if keep_TI is None:
                gradient_TI = add_product(gradient_TI, low_gradient_TR, update_IR)
            else:
                gradient_TI.addcmul_(product(low_gradient_TR, update_IR), keep_TI)
            gradient_x = gradient_TI.reshape(ctx.shape)
        return gradient_x, None, None, gradient_a_RI, gradient_b_OR, None, None
