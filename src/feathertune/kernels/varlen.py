"""Variable-length attention on a CUDA device: no padding, no mask, one kernel over the packed tokens.

`torch.nn.attention.varlen` runs FlashAttention-2 (Dao 2023, arXiv:2307.08691) on sequences laid end to end. Packed
attention falls back to re-padded heads for what it does not support, see `unsupported_reason`. The limits are those
that torch checks in aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp and sdp_utils.cpp.

Letters: B sequences, T packed tokens, L longest sequence, H heads, J key/value heads, K head width, Q queries.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.tokens.batch import Packing

_MAX_HEAD_WIDTH = 256
_MAX_HEAD_WIDTH_BACKWARD = 192  # wider heads need the shared memory of an A100 or H100 in the backward pass


@dataclass(frozen=True)
class AttentionScope:
    """Which keys of its own sequence a query attends to.

    Attributes:
        causal: whether later keys are hidden.
        window: only keys closer than this are visible; None for no limit.
    """

    causal: bool
    window: int | None

    def max_distance(self, packing: Packing) -> int | None:
        """The distance of the farthest visible key, or None if the window hides nothing in this packing."""
        return None if self.window is None or self.window >= packing.longest else self.window - 1


def unsupported_reason(
    query_1HQK: Tensor,
    value_1JTK: Tensor,
    packing: Packing | PooledPacking,
    scope: AttentionScope,
    dropout: float,
) -> str | None:
    """Why `attend` does not support these arguments, or None if it does. Does not synchronize with the device."""
    if reason := device_unsupported_reason(value_1JTK.device):
        return reason
    if dropout > 0:
        return "it has no attention dropout"
    if value_1JTK.dtype not in (torch.bfloat16, torch.float16):
        return f"it computes in 16 bits, not in {value_1JTK.dtype}"
    key_packing = packing.packing if isinstance(packing, PooledPacking) else packing
    if key_packing.shares:
        return "sequences share tokens"
    sees_all = not scope.causal and scope.max_distance(key_packing) is None
    if isinstance(packing, PooledPacking) and not _pools_last(key_packing) and not sees_all:
        return "it places a single query at the last position, not at the first"
    width = query_1HQK.shape[-1]
    if width % 8 or width > _MAX_HEAD_WIDTH:
        return f"heads are {width} wide, not a multiple of 8 up to {_MAX_HEAD_WIDTH}"
    if width > _MAX_HEAD_WIDTH_BACKWARD and torch.cuda.get_device_capability(value_1JTK.device) not in ((8, 0), (9, 0)):
        return f"heads are {width} wide, which this GPU cannot train"
    return None


def attend(
    query_1HQK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    packing: Packing | PooledPacking,
    scope: AttentionScope,
    scale: float,
) -> Tensor:
    """Attend within each sequence: [1, Q, H, K], for the T packed queries or the B pooled ones.

    Filler tokens after the last sequence form one more sequence. The kernel leaves rows outside any sequence
    uninitialized, and a NaN there would reach the weights' gradients.
    """
    query_QHK, key_TJK, value_TJK = (x[0].transpose(0, 1) for x in (query_1HQK, key_1JTK, value_1JTK))
    key_packing = packing.packing if isinstance(packing, PooledPacking) else packing
    distance = scope.max_distance(key_packing)
    left = -1 if distance is None else distance
    if isinstance(packing, PooledPacking):
        # One query per sequence. The kernel places it at the last position, which has no keys after it. A query for
        # the first position gets here only if it sees all keys (see `unsupported_reason`).
        key_TJK, value_TJK = key_TJK[: key_packing.real_tokens], value_TJK[: key_packing.real_tokens]
        key_bounds, longest_query = key_packing.boundaries()[:-1], 1
        query_bounds = torch.arange(len(key_bounds), dtype=torch.int32, device=key_bounds.device)
        longest_key, right = key_packing.longest, -1 if distance is None else 0
    else:
        query_bounds = key_bounds = key_packing.boundaries()
        # At least 2: at 1 the kernel assumes that no sequence is empty, and the filler may be.
        filler = len(key_packing.to_packed_T) - key_packing.real_tokens
        longest_query = longest_key = max(key_packing.longest, filler, 2)
        right = 0 if scope.causal else left
    out_QHK: Tensor = _varlen_attn()(
        query_QHK,
        key_TJK,
        value_TJK,
        query_bounds,
        key_bounds,
        longest_query,
        longest_key,
        scale=scale,
        window_size=(left, right),
        enable_gqa=query_QHK.shape[1] != key_TJK.shape[1],
    )
    return out_QHK[None]


@cache
def device_unsupported_reason(device: torch.device) -> str | None:
    """Why varlen attention cannot run on `device` at all, or None if it can."""
    if device.type != "cuda":
        return "not a CUDA device"
    if torch.version.cuda is None or not torch.backends.cuda.is_flash_attention_available():
        return "this build of torch has no FlashAttention for CUDA"
    if not _has_varlen():
        return f"torch {torch.__version__} is too old for it"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} is older than Ampere"
    return None


def _has_varlen() -> bool:
    """Whether this torch has varlen attention with scale, windows and grouped queries, which were added later."""
    try:
        return "enable_gqa" in inspect.signature(_varlen_attn()).parameters
    except ImportError:
        return False


def _pools_last(packing: Packing) -> bool:
    return packing.pooled_B is packing.ends_B


@cache
def _varlen_attn() -> Callable[..., Any]:
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn
