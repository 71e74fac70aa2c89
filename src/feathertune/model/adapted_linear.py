"""A frozen linear layer with a trained low-rank update.

LoRA (Hu et al. 2021, arXiv:2106.09685): y = W x + b + s B A dropout(x), with A [R, I], B [O, R] and s = alpha / R,
or alpha / sqrt(R) for rank-stabilized LoRA (Kalajdzievski 2023, arXiv:2312.03732).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.model.dropout import dropout as drop


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
        adapted = drop(x, self.dropout) if self.training else x
        update = functional.linear(functional.linear(adapted, self.lora_A), self.lora_B)
        return torch.add(functional.linear(x, self.weight, self.bias), update, alpha=self.scaling)

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
