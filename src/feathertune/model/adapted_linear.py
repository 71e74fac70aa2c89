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

from feathertune.model.dropout import dropout_mask


class AdaptedLinear(nn.Module):
    """`W x + b` with W [O, I] frozen, plus `s B A x`. B starts at zero, so at first it is the layer it replaces."""

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

    def forward(self, x: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        mask = dropout_mask(x, self.dropout) if self.training else None
        y: Tensor = _Adapted.apply(x, self.weight, self.bias, self.lora_A, self.lora_B, self.scaling, mask)  # type: ignore[no-untyped-call]
        return y

    def merged(self) -> nn.Linear:
        """A plain linear layer with the weight W + s B A, computed in float32."""
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0], bias=self.bias is not None, device="meta")
        with torch.no_grad():
            weight = self.weight.float() + self.scaling * (self.lora_B.float() @ self.lora_A.float())
        linear.weight = nn.Parameter(weight.to(self.weight.dtype), requires_grad=False)
        if self.bias is not None:
            linear.bias = nn.Parameter(self.bias.detach().clone(), requires_grad=False)
        return linear

    def extra_repr(self) -> str:
        """For print(model)."""
        rank, width = self.lora_A.shape
        return f"in={width}, out={self.weight.shape[0]}, rank={rank}, scaling={self.scaling:g}"


class _Adapted(torch.autograd.Function):
    """y = x W' + b + s (x * mask) A' B', with nothing kept or computed for the frozen W and b.

    What autograd would do costs three more passes over [T, O]: the update apart, its scaling, and their sum.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a_RI: Tensor, b_OR: Tensor, scaling: float, mask: Any
    ) -> Tensor:
        x_TI = x.reshape(-1, x.shape[-1])
        mask_TI = None if mask is None else mask.reshape(x_TI.shape)
        dropped_TI = x_TI if mask_TI is None else x_TI * mask_TI
        low_TR = dropped_TI @ a_RI.T
        y_TO = x_TI @ weight.T if bias is None else torch.addmm(bias, x_TI, weight.T)
        y_TO.addmm_(low_TR, b_OR.T, alpha=scaling)
        ctx.save_for_backward(dropped_TI, low_TR, weight, a_RI, b_OR, mask_TI)
        ctx.scaling, ctx.shape = scaling, x.shape
        return y_TO.reshape(*x.shape[:-1], y_TO.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        dropped_TI, low_TR, weight, a_RI, b_OR, mask_TI = ctx.saved_tensors
        gradient_TO = gradient.reshape(-1, gradient.shape[-1])
        low_gradient_TR = (gradient_TO @ b_OR).mul_(ctx.scaling)
        gradient_a_RI = low_gradient_TR.T @ dropped_TI
        gradient_b_OR = (gradient_TO.T @ low_TR).mul_(ctx.scaling)
        gradient_x = None
        if ctx.needs_input_grad[0]:
            gradient_TI = gradient_TO @ weight
            if mask_TI is None:
                gradient_TI.addmm_(low_gradient_TR, a_RI)
            else:
                gradient_TI.addcmul_(low_gradient_TR @ a_RI, mask_TI)
            gradient_x = gradient_TI.reshape(ctx.shape)
        return gradient_x, None, None, gradient_a_RI, gradient_b_OR, None, None
