"""Matrix products on the fastest kernel that the processor has.

torch sends float32 products to MKL, which on AMD is a quarter slower than oneDNN for wide layers and several times
slower for the narrow ones of LoRA; what oneDNN does is reached through the operators that torch.compile uses. They
take any contiguous or transposed matrix as it lies, so that no second copy of a weight is needed for backward.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from feathertune.system.processor import processor_flags, processor_vendor


def matmul(x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """`x W' + b`: [T, O]. All of one dtype; not recorded by autograd."""
    if _by_onednn(x_TI):
        y_TO: Tensor = torch.ops.mkldnn._linear_pointwise(x_TI, weight_OI, bias_O, "none", [], "")
        return y_TO
    return functional.linear(x_TI, weight_OI, bias_O)


@cache
def onednn_is_faster(dtype: torch.dtype) -> bool:
    """Whether this processor multiplies faster through oneDNN's operators than through torch's own choice."""
    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if dtype == torch.bfloat16:
        return has_bf16()
    return dtype == torch.float32 and processor_vendor() == "AuthenticAMD"


@cache
def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices itself (avx512_bf16 or amx_bf16, or bf16 on Arm)."""
    return bool(processor_flags() & {"avx512_bf16", "amx_bf16", "bf16"}) and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _by_onednn(x_TI: Tensor) -> bool:
    return x_TI.device.type == "cpu" and x_TI.shape[0] > 0 and onednn_is_faster(x_TI.dtype)
