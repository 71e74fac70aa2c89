"""Attention over packed sequences, plugged into transformers' own models through its attention interface.

Letters: B sequences, T packed tokens, L longest sequence, H heads, J key/value heads, K head width, S = B * L slots.

transformers calls `packed_attention` in place of its eager or SDPA attention; every other layer of the model runs
on flat tokens untouched. The sequences' places come in as the keyword argument `packing`, which transformers' models
hand down to the attention function.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.model.dropout import dropout as drop
from feathertune.tokens.batch import Packing

NAME = "feathertune_packed"
_LONGEST_EXPLICIT = 128  # above this many tokens the score matrix no longer fits the cache; SDPA does not build it


def packed_attention(
    module: nn.Module,
    query_1HTK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attend within each sequence of a packed row; causal where `module.is_causal`.

    Args:
        module: the attention layer, read for `is_causal` alone.
        query_1HTK: the queries of T packed tokens.
        key_1JTK: their keys; H is a multiple of J (grouped queries).
        value_1JTK: their values.
        attention_mask: always None; `packing` says what a mask would.
        packing: where the sequences lie.
        scaling: factor of the scores; 1 / sqrt(K) by default.
        dropout: probability of dropping an attention weight.
        sliding_window: only positions less than this far apart attend to each other.

    Returns:
        [1, T, H, K] and None (transformers' place for attention weights).
    """
    if attention_mask is not None:
        raise ValueError("a mask reached packed attention: the model built one in spite of `_no_mask`")
    query_BHLK, key_BJLK, value_BJLK = (_unpack(x[0], packing) for x in (query_1HTK, key_1JTK, value_1JTK))
    groups = query_BHLK.shape[1] // key_BJLK.shape[1]
    key_BHLK = key_BJLK.repeat_interleave(groups, dim=1) if groups > 1 else key_BJLK
    value_BHLK = value_BJLK.repeat_interleave(groups, dim=1) if groups > 1 else value_BJLK
    scale = query_BHLK.shape[-1] ** -0.5 if scaling is None else scaling
    bias = _bias(packing, bool(getattr(module, "is_causal", False)), sliding_window, query_BHLK.dtype)
    if packing.longest <= _LONGEST_EXPLICIT:
        scores_BHLL = torch.matmul(query_BHLK, key_BHLK.transpose(-1, -2)) * scale + bias
        weights_BHLL = torch.softmax(scores_BHLL, dim=-1)
        weights_BHLL = drop(weights_BHLL, dropout)
        out_BHLK = torch.matmul(weights_BHLL, value_BHLK)
    else:
        out_BHLK = functional.scaled_dot_product_attention(
            query_BHLK, key_BHLK, value_BHLK, attn_mask=bias, dropout_p=dropout, scale=scale
        )
    return _repack(out_BHLK, packing)[None], None


def register() -> str:
    """Make transformers know packed attention; returns the name to pass as `attn_implementation`."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    return NAME


def _no_mask(*_: object, **__: object) -> None:
    """What transformers calls to make a mask for packed attention: none is needed."""


def _unpack(x_HTK: Tensor, packing: Packing) -> Tensor:
    """[H, T, K] -> [B, H, L, K], slots past a sequence's end filled with its last token."""
    x_SHK = x_HTK.transpose(0, 1).index_select(0, packing.from_packed_BL.flatten())
    return x_SHK.view(*packing.from_packed_BL.shape, *x_SHK.shape[1:]).transpose(1, 2)


def _repack(x_BHLK: Tensor, packing: Packing) -> Tensor:
    """[B, H, L, K] -> [T, H, K]."""
    return x_BHLK.transpose(1, 2).flatten(0, 1).index_select(0, packing.to_packed_T)


def _bias(packing: Packing, causal: bool, window: int | None, dtype: torch.dtype) -> Tensor:
    """What is added to the scores: 0 where a query may look, a very low number where it may not.

    Returns [B, 1, 1, L], or [B, 1, L, L] where it depends on the query. It is finite, since a slot past a sequence's
    end may see nothing, and a row of -inf would make its softmax, and then every gradient, NaN.
    """
    slots_L = torch.arange(packing.longest, device=packing.lengths_B.device)
    allowed = (slots_L < packing.lengths_B[:, None])[:, None, :]
    if causal or (window is not None and window < packing.longest):
        distance_LL = slots_L[:, None] - slots_L[None, :]
        if causal:
            allowed = allowed & (distance_LL >= 0)
        if window is not None:
            allowed = allowed & (distance_LL.abs() < window)
    bias = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return bias.masked_fill(~allowed, torch.finfo(dtype).min)[:, None]
