"""Attention of variable length on a CUDA device: no padding, no mask, one kernel over the packed tokens.

`torch.nn.attention.varlen` runs FlashAttention-2 (Dao 2023, arXiv:2307.08691) on sequences laid end to end. What it
cannot do, packed attention does on re-padded heads; `unsupported_reason` gives the reason. The limits are those that
torch checks in aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp and sdp_utils.cpp.

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

_WIDEST_TRAINED = 192  # above this, only the largest GPUs (A100, H100) have the shared memory for the backward pass
_WIDEST = 256


@dataclass(frozen=True)
class AttentionScope:
    """Which keys of its sequence a query sees.

    Attributes:
        causal: none that follow it.
        window: only those less than this far away; None for no such limit.
    """

    causal: bool
    window: int | None

    def reach(self, places: Packing) -> int | None:
        """How many positions away the farthest key is, or None where the window leaves nothing out."""
        return None if self.window is None or self.window >= places.longest else self.window - 1


def unsupported_reason(
    query_1HQK: Tensor,
    value_1JTK: Tensor,
    packing: Packing | PooledPacking,
    sight: AttentionScope,
    dropout: float,
) -> str | None:
    """Why `attend` cannot run on these, in words, or None where it can. Nothing waits for the device."""
    if because := device_unsupported_reason(value_1JTK.device):
        return because
    if dropout > 0:
        return "it drops no attention weights"
    if value_1JTK.dtype not in (torch.bfloat16, torch.float16):
        return f"it computes in 16 bits, not in {value_1JTK.dtype}"
    places = packing.packing if isinstance(packing, PooledPacking) else packing
    if places.shares:
        return "sequences share tokens"
    whole = not sight.causal and sight.reach(places) is None
    if isinstance(packing, PooledPacking) and not _pools_last(places) and not whole:
        return "a single query stands for the last position, not for the first"
    width = query_1HQK.shape[-1]
    if width % 8 or width > _WIDEST:
        return f"heads are {width} wide, not a multiple of 8 up to {_WIDEST}"
    if width > _WIDEST_TRAINED and torch.cuda.get_device_capability(value_1JTK.device) not in ((8, 0), (9, 0)):
        return f"heads are {width} wide, which this GPU cannot train"
    return None


def attend(
    query_1HQK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    packing: Packing | PooledPacking,
    sight: AttentionScope,
    scale: float,
) -> Tensor:
    """Attend within each sequence: [1, Q, H, K], for T packed queries or the B pooled ones.

    Filler tokens after the last sequence are one more sequence: rows that no sequence covers would be left as they
    were in memory, and a NaN there would reach the weights' gradients.
    """
    query_QHK, key_TJK, value_TJK = (x[0].transpose(0, 1) for x in (query_1HQK, key_1JTK, value_1JTK))
    places = packing.packing if isinstance(packing, PooledPacking) else packing
    reach = sight.reach(places)
    left = -1 if reach is None else reach
    if isinstance(packing, PooledPacking):
        # One query a sequence. It counts as its last position, which has no keys after it; and a first one, which
        # is here only without window, sees all keys.
        key_TJK, value_TJK = key_TJK[: places.real_tokens], value_TJK[: places.real_tokens]
        key_bounds, longest_query = places.boundaries()[:-1], 1
        query_bounds = torch.arange(len(key_bounds), dtype=torch.int32, device=key_bounds.device)
        longest_key, right = places.longest, -1 if reach is None else 0
    else:
        query_bounds = key_bounds = places.boundaries()
        # At 1 the kernel would take it that no sequence is empty, and the filler may be.
        longest_query = longest_key = max(places.longest, len(places.to_packed_T) - places.real_tokens, 2)
        right = 0 if sight.causal else left
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
    """Why nothing can run by varlen on `device`, or None."""
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
    """Whether this torch has it, with scale, windows and grouped queries, which came later than it."""
    try:
        return "enable_gqa" in inspect.signature(_varlen_attn()).parameters
    except ImportError:
        return False


def _pools_last(places: Packing) -> bool:
    return places.pooled_B is places.ends_B


@cache
def _varlen_attn() -> Callable[..., Any]:
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn
