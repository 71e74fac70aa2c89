"""Attention over packed sequences, plugged into transformers' models through its attention interface.

Letters: B sequences, T packed tokens, L longest sequence, H heads, J key/value heads, K head width, S = B * L slots.

transformers calls `packed_attention` instead of its eager or SDPA attention; every other layer runs unchanged on the
flat tokens. The position of each sequence arrives as the keyword argument `packing`, which transformers' models pass
on to the attention function.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.kernels import varlen
from feathertune.kernels.dropout import dropout as drop
from feathertune.kernels.dropout import dropout_mask
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.kernels.short_attention import short_attention
from feathertune.tokens.batch import Packing

NAME = "feathertune_packed"
_MAX_EXPLICIT = 128  # tokens; longer sequences' score matrices do not fit the cache, and SDPA does not build them


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
    score_bias: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attend within each sequence of a packed row; causal where `module.is_causal`.

    Args:
        module: the attention layer; only its `is_causal` is read.
        query_1HTK: the queries of the T packed tokens, or of the B pooled ones.
        key_1JTK: the keys; H is a multiple of J (grouped queries).
        value_1JTK: the values.
        attention_mask: must be None; `packing` takes its place.
        packing: where each sequence lies.
        scaling: factor of the scores; 1 / sqrt(K) by default.
        dropout: probability of dropping an attention weight.
        sliding_window: a query attends only to positions closer than this.
        score_bias: [1 or B, H, L, L], or [1 or B, H, 1, L] for pooled tokens: added to the scaled scores.

    Returns:
        [1, T, H, K], and None where transformers expects attention weights.
    """
    if attention_mask is not None:
        raise ValueError("packed attention was given a mask: the model must not build one for this attention")
    scale = query_1HTK.shape[-1] ** -0.5 if scaling is None else scaling
    scope = varlen.AttentionScope(bool(getattr(module, "is_causal", False)), sliding_window)
    if isinstance(packing, PooledPacking):
        key_1JTK, value_1JTK = packing.keys_and_values(key_1JTK, value_1JTK)
    # Rotary embeddings turn bfloat16 queries and keys into float32, and a matrix product needs one dtype.
    query_1HTK, key_1JTK = query_1HTK.to(value_1JTK.dtype), key_1JTK.to(value_1JTK.dtype)
    if score_bias is None and varlen.unsupported_reason(query_1HTK, value_1JTK, packing, scope, dropout) is None:
        return varlen.attend(query_1HTK, key_1JTK, value_1JTK, packing, scope, scale), None
    if isinstance(packing, Packing) and packing.longest > _MAX_EXPLICIT:
        if score_bias is not None:
            bias_BQL = mask_bias(packing, scope.causal, scope.window)
            return _biased_sdpa(query_1HTK, key_1JTK, value_1JTK, bias_BQL, score_bias, packing, scale, dropout), None
        bias = None if _is_plain_causal(packing, scope) else mask_bias(packing, scope.causal, scope.window)
        return _sdpa_attention(query_1HTK, key_1JTK, value_1JTK, bias, packing, scale, dropout), None
    bias_BQL = mask_bias(packing, scope.causal, scope.window)
    if isinstance(packing, PooledPacking):
        bias_BHQL = bias_BQL[:, None] if score_bias is None else bias_BQL[:, None] + score_bias
        return _pooled_attention(query_1HTK, key_1JTK, value_1JTK, bias_BHQL, packing, scale, dropout), None
    return _explicit_attention(query_1HTK, key_1JTK, value_1JTK, bias_BQL, score_bias, packing, scale, dropout), None


def _explicit_attention(
    query_1HTK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    bias_BQL: Tensor,
    score_bias: Tensor | None,
    packing: Packing,
    scale: float,
    dropout: float,
) -> Tensor:
    """[1, T, H, K]: attention that builds the score matrix, with a handwritten backward pass."""
    query_THK, key_TJK, value_TJK = (x.squeeze(0).transpose(0, 1) for x in (query_1HTK, key_1JTK, value_1JTK))
    weights_shape = (len(packing.lengths_B), query_1HTK.shape[1], packing.longest, packing.longest)
    mask_BHLL, mask_scale = dropout_mask(query_THK.new_empty(weights_shape), query_THK.dtype, dropout)
    out_THK = short_attention(
        query_THK,
        key_TJK,
        value_TJK,
        bias_BQL,
        packing,
        scale=scale,
        mask_BHLL=mask_BHLL,
        mask_scale=mask_scale,
        score_bias=score_bias,
    )
    return out_THK[None]


def _sdpa_attention(
    query_1HTK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    bias_BQL: Tensor | None,
    packing: Packing,
    scale: float,
    dropout: float,
) -> Tensor:
    """[1, T, H, K]: attention by torch's own kernel. `bias_BQL` is None for plain causal attention, which is a flag.

    The kernel does not build the score matrix, except for attention dropout on a CPU: torch then falls back to the
    matrix of all heads at once.
    """
    query_BHLK = _unpack(query_1HTK[0], packing)
    key_BHLK, value_BHLK = (_repeat_heads(_unpack(x[0], packing), query_BHLK.shape[1]) for x in (key_1JTK, value_1JTK))
    bias = None if bias_BQL is None else bias_BQL[:, None].to(query_BHLK.dtype)
    out_BHLK = functional.scaled_dot_product_attention(
        query_BHLK, key_BHLK, value_BHLK, attn_mask=bias, dropout_p=dropout, is_causal=bias is None, scale=scale
    )
    return _repack(out_BHLK, packing)[None]


def _biased_sdpa(
    query_1HTK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    bias_BQL: Tensor,
    score_bias: Tensor,
    packing: Packing,
    scale: float,
    dropout: float,
) -> Tensor:
    """[1, T, H, K]: torch's own kernel, one sequence at a time.

    For all at once, mask and `score_bias` [1 or B, H, L, L] would be one [B, H, L, L]. Here they are [1, H, L, L] of
    the sequence's own length, and nothing is computed for padding.
    """
    heads, outs = query_1HTK.shape[1], []
    for index, length in enumerate(packing.lengths_B.tolist()):
        tokens_L = packing.from_packed_BL[index, :length]
        query, key, value = (x.index_select(2, tokens_L) for x in (query_1HTK, key_1JTK, value_1JTK))
        own = score_bias[min(index, len(score_bias) - 1), None, :, :length, :length]
        out_1HLK = functional.scaled_dot_product_attention(
            query,
            _repeat_heads(key, heads),
            _repeat_heads(value, heads),
            attn_mask=(own + bias_BQL[index, None, :length, :length]).to(query.dtype),
            dropout_p=dropout,
            scale=scale,
        )
        outs.append(functional.pad(out_1HLK, (0, 0, 0, packing.longest - length)))
    return _repack(torch.cat(outs), packing)[None]


def _pooled_attention(
    query_1HBK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    bias_BHQL: Tensor,
    packing: PooledPacking,
    scale: float,
    dropout: float,
) -> Tensor:
    """[1, B, H, K]: attention with the pooled tokens as the only queries, over the keys and values of all tokens."""
    query_BH1K = query_1HBK[0].transpose(0, 1)[:, :, None].contiguous()  # see _unpack
    key_BHLK, value_BHLK = (
        _repeat_heads(_unpack(x[0], packing.packing), query_BH1K.shape[1]) for x in (key_1JTK, value_1JTK)
    )
    scores_BH1L = torch.matmul(query_BH1K, key_BHLK.transpose(-1, -2)) * scale + bias_BHQL
    weights_BH1L = drop(torch.softmax(scores_BH1L, dim=-1, dtype=torch.float32), dropout)
    return torch.matmul(weights_BH1L.to(value_BHLK.dtype), value_BHLK)[None, :, :, 0]


def register() -> str:
    """Register packed attention with transformers. Returns the name to pass as `attn_implementation`."""
    from transformers import AttentionInterface

    # No mask function is registered under this name, so transformers neither builds a mask nor searches the position
    # ids for packed sequences, which would synchronize with a GPU.
    AttentionInterface.register(NAME, packed_attention)
    return NAME


def _unpack(x_HTK: Tensor, packing: Packing) -> Tensor:
    """[H, T, K] -> [B, H, L, K]; slots past a sequence's end repeat its last token.

    The result is contiguous. matmul would make it so anyway, except for B = 1, where it would use another kernel that
    rounds differently: a text's logits would depend on whether it is alone in its batch.
    """
    x_SHK = x_HTK.transpose(0, 1).index_select(0, packing.from_packed_BL.flatten())
    return x_SHK.view(*packing.from_packed_BL.shape, *x_SHK.shape[1:]).transpose(1, 2).contiguous()


def _repack(x_BHLK: Tensor, packing: Packing) -> Tensor:
    """[B, H, L, K] -> [T, H, K]."""
    return x_BHLK.transpose(1, 2).flatten(0, 1).index_select(0, packing.to_packed_T)


def _repeat_heads(x_BJLK: Tensor, heads: int) -> Tensor:
    """[B, J, L, K] -> [B, H, L, K]: each key/value head serves H / J query heads."""
    groups = heads // x_BJLK.shape[1]
    return x_BJLK.repeat_interleave(groups, dim=1) if groups > 1 else x_BJLK


def _is_plain_causal(packing: Packing, scope: varlen.AttentionScope) -> bool:
    """Whether a causal mask over the slots is enough, so that no [B, L, L] bias is needed.

    Slots past a sequence's end come after all of its queries, which therefore never see them. The queries in those
    slots see real keys, so nothing becomes NaN, and `_repack` discards them, so they receive no gradient.
    """
    return scope.causal and scope.max_distance(packing) is None


def mask_bias(packing: Packing | PooledPacking, causal: bool, window: int | None) -> Tensor:
    """The additive mask of the scores: 0 for visible keys, a very low number for the others.

    Returns [B, 1, L], or [B, Q, L] if it depends on the query. It is finite: a slot past a sequence's end may see no
    key at all, and a row of -inf would turn its softmax, and then every gradient, into NaN. Computed once per batch.
    """
    key_packing = packing.packing if isinstance(packing, PooledPacking) else packing
    window = window if window is not None and window < key_packing.longest else None
    memo, key = key_packing.memo, (mask_bias, type(packing), causal, window)
    if key not in memo:
        memo[key] = _make_bias(packing, causal, window)
    bias: Tensor = memo[key]
    return bias


def _make_bias(packing: Packing | PooledPacking, causal: bool, window: int | None) -> Tensor:
    key_packing = packing.packing if isinstance(packing, PooledPacking) else packing
    slots_L = torch.arange(key_packing.longest, device=key_packing.lengths_B.device)
    allowed_BQL = (slots_L < key_packing.lengths_B[:, None])[:, None, :]
    if causal or window is not None:
        queries_BQ = packing.positions_B[:, None] if isinstance(packing, PooledPacking) else slots_L[None]
        distance_BQL = queries_BQ[:, :, None] - slots_L
        if causal:
            allowed_BQL = allowed_BQL & (distance_BQL >= 0)
        if window is not None:
            allowed_BQL = allowed_BQL & (distance_BQL.abs() < window)
    bias = torch.zeros(allowed_BQL.shape, device=allowed_BQL.device)
    return bias.masked_fill(~allowed_BQL, torch.finfo(torch.bfloat16).min)
