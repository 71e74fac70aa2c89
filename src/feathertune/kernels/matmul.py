"""Matrix products on the processor's fastest kernel.

torch computes float32 products with MKL, which on AMD is a quarter slower than oneDNN for wide layers and several times
slower for LoRA's narrow ones. oneDNN is called through the operators that torch.compile uses. They accept contiguous
and transposed matrices alike, so backward needs no second copy of a weight.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from feathertune.system.processor import processor_flags, processor_vendor


def matmul(x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """X W' + b: [T, O]. All arguments have one dtype. Autograd does not record it."""
    if _uses_onednn(x_TI):
        y_TO: Tensor = torch.ops.mkldnn._linear_pointwise(x_TI, weight_OI, bias_O, "none", [], "")
        return y_TO
    return functional.linear(x_TI, weight_OI, bias_O)


@cache
def onednn_is_faster(dtype: torch.dtype) -> bool:
    """Whether oneDNN's operators are faster on this processor than torch's own choice."""
    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if dtype == torch.bfloat16:
        return has_bf16()
    return dtype == torch.float32 and processor_vendor() == "AuthenticAMD"


@cache
def has_bf16() -> bool:
    """Whether this processor has bfloat16 matrix instructions (avx512_bf16 or amx_bf16; bf16 on Arm)."""
    return bool(processor_flags() & {"avx512_bf16", "amx_bf16", "bf16"}) and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _uses_onednn(x_TI: Tensor) -> bool:
    return x_TI.device.type == "cpu" and x_TI.shape[0] > 0 and onednn_is_faster(x_TI.dtype)
