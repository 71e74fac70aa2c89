"""A fast linear layer is the linear layer it was made of, frozen or trained, in float32 or bfloat16."""

import copy

import pytest
import torch
from torch import nn

from feathertune.kernels.fast_linear import FastLinear


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(7, 16), (1, 7, 16), (2, 3, 16)], ids=str)
@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16])
def test_outputs_and_gradients(compute: torch.dtype, shape: tuple[int, ...], bias: bool, trained: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(16, 24, bias=bias).requires_grad_(trained)
    fast = FastLinear.from_linear(copy.deepcopy(linear), compute)
    x = torch.randn(shape)
    weights = torch.randn(*shape[:-1], 24)
    gradients = []
    for layer in (fast, linear):
        inputs = x.clone().requires_grad_()
        y = layer(inputs)
        (y.float() * weights).sum().backward()
        found = [inputs.grad, *(p.grad for p in layer.parameters() if trained)]
        gradients.append([y.detach().float(), *(gradient for gradient in found if gradient is not None)])
    assert len(gradients[0]) == 2 + trained * (1 + bias)
    tolerance = 1e-6 if compute == torch.float32 else 2**-7
    for ours, theirs in zip(*gradients, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() <= tolerance * theirs.norm()


def test_a_frozen_weight_is_held_in_the_dtype_that_is_computed_in_and_a_trained_one_in_float32() -> None:
    linear = nn.Linear(4, 3)
    assert FastLinear.from_linear(linear, torch.bfloat16).weight is linear.weight
    linear.weight.requires_grad_(False)
    fast = FastLinear.from_linear(linear, torch.bfloat16)
    assert fast.weight.dtype == torch.bfloat16
    assert fast.bias is linear.bias
    assert fast(torch.zeros(2, 4)).dtype == torch.bfloat16


def test_in_float32_nothing_is_copied() -> None:
    linear = nn.Linear(4, 3).requires_grad_(False)
    assert FastLinear.from_linear(linear, torch.float32).weight is linear.weight
