"""Products through oneDNN's operators are products, as those through torch's own choice are."""

import pytest
import torch

from feathertune.kernels import matmul as products
from feathertune.kernels.matmul import matmul


@pytest.fixture(params=[True, False], ids=["onednn", "torch"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways, whatever is faster on this processor."""
    monkeypatch.setattr(products, "onednn_is_faster", lambda dtype: request.param)


def close(found: torch.Tensor, wanted: torch.Tensor, dtype: torch.dtype) -> bool:
    assert found.dtype == dtype
    relative = float((found.double() - wanted).norm() / wanted.norm())
    return relative < (2**-8 if dtype == torch.bfloat16 else 1e-6)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(37, 48, 64), (1, 16, 3), (5, 8, 128)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product(dtype: torch.dtype, shape: tuple[int, int, int], bias: bool, transposed: bool) -> None:
    tokens, width, outputs = shape
    torch.manual_seed(0)
    x = torch.randn(tokens, width).to(dtype)
    weight = torch.randn(width, outputs).to(dtype).T if transposed else torch.randn(outputs, width).to(dtype)
    offset = torch.randn(outputs).to(dtype) if bias else None
    wanted = x.double() @ weight.double().T + (0 if offset is None else offset.double())
    assert close(matmul(x, weight, offset), wanted, dtype)


def test_no_tokens_no_product() -> None:
    assert matmul(torch.empty(0, 8), torch.randn(3, 8)).shape == (0, 3)
