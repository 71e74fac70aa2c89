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
from feathertune.model.pooled_rows import PooledPacking
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
    packing: Packing | PooledPacking,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attend within each sequence of a packed row; causal where `module.is_causal`.

    Args:
        module: the attention layer, read for `is_causal` alone.
        query_1HTK: the queries of T packed tokens, or of the B pooled ones.
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
    if isinstance(packing, PooledPacking):
        key_1JTK, value_1JTK = packing.keys_and_values(key_1JTK, value_1JTK)
        places = packing.packing
        query_BHQK = query_1HTK[0].transpose(0, 1)[:, :, None]
    else:
        places = packing
        query_BHQK = _unpack(query_1HTK[0], places)
    scale = query_BHQK.shape[-1] ** -0.5 if scaling is None else scaling
    key_BHLK, value_BHLK = (
        _repeat_heads(_unpack(x[0], places), query_BHQK.shape[1]) for x in (key_1JTK * scale, value_1JTK)
    )
    bias = _bias(packing, bool(getattr(module, "is_causal", False)), sliding_window)
    if places.longest <= _LONGEST_EXPLICIT:
        scores_BHQL = torch.matmul(query_BHQK, key_BHLK.transpose(-1, -2)) + bias
        weights_BHQL = drop(torch.softmax(scores_BHQL, dim=-1, dtype=torch.float32), dropout)
        out_BHQK = torch.matmul(weights_BHQL.to(value_BHLK.dtype), value_BHLK)
    else:
        out_BHQK = functional.scaled_dot_product_attention(
            query_BHQK, key_BHLK, value_BHLK, attn_mask=bias.to(query_BHQK.dtype), dropout_p=dropout, scale=1.0
        )
    if isinstance(packing, PooledPacking):
        return out_BHQK[None, :, :, 0], None
    return _repack(out_BHQK, packing)[None], None


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


def _repeat_heads(x_BJLK: Tensor, heads: int) -> Tensor:
    """[B, J, L, K] -> [B, H, L, K]: each key/value head serves H / J query heads."""
    groups = heads // x_BJLK.shape[1]
    return x_BJLK.repeat_interleave(groups, dim=1) if groups > 1 else x_BJLK


def _bias(packing: Packing | PooledPacking, causal: bool, window: int | None) -> Tensor:
    """What is added to the scores: 0 where a query may look, a very low number where it may not.

    Returns [B, 1, 1, L], or [B, 1, L, L] where it depends on the query. It is finite, since a slot past a sequence's
    end may see nothing, and a row of -inf would make its softmax, and then every gradient, NaN.
    """
    places = packing.packing if isinstance(packing, PooledPacking) else packing
    slots_L = torch.arange(places.longest, device=places.lengths_B.device)
    allowed_BQL = (slots_L < places.lengths_B[:, None])[:, None, :]
    if causal or (window is not None and window < places.longest):
        queries_BQ = packing.positions_B[:, None] if isinstance(packing, PooledPacking) else slots_L[None]
        distance_BQL = queries_BQ[:, :, None] - slots_L
        if causal:
            allowed_BQL = allowed_BQL & (distance_BQL >= 0)
        if window is not None:
            allowed_BQL = allowed_BQL & (distance_BQL.abs() < window)
    bias = torch.zeros(allowed_BQL.shape, device=allowed_BQL.device)
    return bias.masked_fill(~allowed_BQL, torch.finfo(torch.bfloat16).min)[:, None]
