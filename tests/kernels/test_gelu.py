"""GELU by a sigmoid is torch's tanh GELU, and its gradient too."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from feathertune.kernels import gelu
from feathertune.kernels.gelu import TanhGELU
from feathertune.model.substitution import replace_gelus
from lively import lively_classifier


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_torchs(dtype: torch.dtype) -> None:
    x = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([0.0, -0.0, 1e30, -1e30, 1e-30])]).to(dtype)
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    y, wanted = TanhGELU()(ours), functional.gelu(theirs, approximate="tanh")
    tolerance = 2e-6 if dtype == torch.float32 else 2**-8
    torch.testing.assert_close(y.double(), wanted, rtol=tolerance, atol=2e-6)
    y.sum().backward()
    wanted.sum().backward()
    finite = x.abs() < 1e10  # the cube of 1e30 is infinite; no activation comes near
    torch.testing.assert_close(ours.grad[finite].double(), theirs.grad[finite], rtol=tolerance, atol=2e-6)


def test_a_tensor_of_several_chunks() -> None:
    x = torch.randn(3, gelu._CHUNK // 2 + 5, requires_grad=True)
    y = TanhGELU()(x)
    y.sum().backward()
    alone = [x[row].detach().clone().requires_grad_() for row in range(3)]
    for row, one in enumerate(alone):
        TanhGELU()(one).sum().backward()
        torch.testing.assert_close(y[row], TanhGELU()(one), rtol=0, atol=1e-6)
        torch.testing.assert_close(x.grad[row], one.grad, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "gemma3-window"])
def test_tanh_gelus_are_replaced(name: str) -> None:
    model = lively_classifier(name).model
    assert any(isinstance(module, TanhGELU) for module in model.modules())


def test_others_are_left() -> None:
    model = nn.Sequential(nn.GELU(), nn.SiLU())
    replace_gelus(model)
    assert [type(module) for module in model] == [nn.GELU, nn.SiLU]
