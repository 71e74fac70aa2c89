"""Attention over many short sequences: few, large operators, and a backward pass by hand.

Letters: B sequences, T packed tokens, L longest sequence, H heads, J key/value heads, K head width.

Each head of each sequence is a small padded matrix [L, K]. Beside the large products of the linear layers, every
operator costs tens of microseconds however little it does; what autograd makes of matmul, scale, mask, softmax,
dropout, matmul takes thrice as many of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from feathertune.tokens.batch import Packing


@dataclass(frozen=True)
class HeadRows:
    """Which row of a flat [T * heads, K] tensor stands in which slot of its padded form [B, H, L, K], and back.

    Attributes:
        queries: [B * H * L] int64, rows of the queries; slots past a sequence's end repeat its last token.
        keys: the same for keys and values, whose J heads serve H / J query heads each.
        gradients: `queries`, but slots past an end point one past the last row, where there is a row of zeros.
        slots: [T * H] int64, for each token and head its slot of [B * H * L]; for a token that belongs to no sequence
            one past the last, where there is a row of zeros.
        shared: whether some row stands in several slots of real tokens, so that its gradient is a sum over them.
    """

    queries: Tensor
    keys: Tensor
    gradients: Tensor
    slots: Tensor
    shared: bool

    @classmethod
    def of(cls, packing: Packing, heads: int, key_heads: int) -> HeadRows:
        """The rows of a packing, made once for all layers."""
        made = packing.memo.get((cls, heads, key_heads))
        if made is None:
            made = packing.memo[cls, heads, key_heads] = cls._make(packing, heads, key_heads)
        return made

    @classmethod
    def _make(cls, packing: Packing, heads: int, key_heads: int) -> HeadRows:
        tokens_BL, device = packing.from_packed_BL, packing.from_packed_BL.device
        sequences, longest = tokens_BL.shape
        tokens, heads_H = len(packing.to_packed_T), torch.arange(heads, device=device)
        rows_BHL = tokens_BL[:, None] * heads + heads_H[:, None]
        keys_BHL = tokens_BL[:, None] * key_heads + (heads_H // (heads // key_heads))[:, None]
        past_BL = torch.arange(longest, device=device) >= packing.lengths_B[:, None]
        gradients_BHL = rows_BHL.masked_fill(past_BL[:, None], tokens * heads)
        sequence_T, slot_T = packing.to_packed_T // longest, packing.to_packed_T % longest
        slots_TH = (sequence_T[:, None] * heads + heads_H) * longest + slot_T[:, None]
        slots_TH[packing.real_tokens :] = sequences * heads * longest
        return cls(rows_BHL.flatten(), keys_BHL.flatten(), gradients_BHL.flatten(), slots_TH.flatten(), packing.shares)


def short_attention(
    query_THK: Tensor,
    key_TJK: Tensor,
    value_TJK: Tensor,
    bias_BQL: Tensor,
    packing: Packing,
    *,
    scale: float,
    keep_BHLL: Tensor | None,
    keep_scale: float,
) -> Tensor:
    """softmax(scale q k' + bias) v within each sequence.

    Args:
        query_THK: queries; any float dtype, in which products are made. Softmax is float32 or wider.
        key_TJK: keys.
        value_TJK: values.
        bias_BQL: [B, 1 or L, L], 0 where a query may look, very low where not.
        packing: where the sequences lie.
        scale: factor of the scores.
        keep_BHLL: 0 or 1 for each attention weight (dropout), or None.
        keep_scale: the factor of the weights kept.

    Returns:
        [T, H, K]; rows of tokens that belong to no sequence are zero.
    """
    rows = HeadRows.of(packing, query_THK.shape[1], key_TJK.shape[1])
    out: Tensor = _ShortAttention.apply(  # type: ignore[no-untyped-call]
        query_THK, key_TJK, value_TJK, bias_BQL, rows, scale, keep_BHLL, keep_scale
    )
    return out


class _ShortAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query_THK: Tensor,
        key_TJK: Tensor,
        value_TJK: Tensor,
        bias_BQL: Tensor,
        rows: HeadRows,
        scale: float,
        keep_BHLL: Tensor | None,
        keep_scale: float,
    ) -> Tensor:
        """[T, H, K]: attention by the matrix of scores of each sequence and head; see `short_attention`."""
        tokens, heads, width = query_THK.shape
        sequences, longest = len(bias_BQL), bias_BQL.shape[-1]
        shape = (sequences * heads, longest, width)
        query, key, value = (
            x.reshape(-1, width).index_select(0, index).view(shape)
            for x, index in ((query_THK, rows.queries), (key_TJK, rows.keys), (value_TJK, rows.keys))
        )
        scores_BHLL = torch.bmm(query, key.transpose(1, 2)).view(sequences, heads, longest, longest)
        scores_BHLL = torch.add(bias_BQL[:, None], scores_BHLL, alpha=scale)
        weights = torch.softmax(scores_BHLL, dim=-1).view(-1, longest, longest)
        used = (weights if keep_BHLL is None else weights * keep_scale).to(value.dtype)
        keep = None if keep_BHLL is None else keep_BHLL.view(used.shape)
        if keep is not None:
            used.mul_(keep)
        padded = value.new_zeros(sequences * heads * longest + 1, width)
        torch.bmm(used, value, out=padded[:-1].view(shape))
        ctx.save_for_backward(query, key, value, weights, used, keep)
        ctx.rows, ctx.scale, ctx.keep_scale, ctx.key_heads = rows, scale, keep_scale, key_TJK.shape[1]
        return padded.index_select(0, rows.slots).view(tokens, heads, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_THK: Tensor) -> tuple[Tensor | None, ...]:
        """[T, H, K] -> the gradients of queries, keys and values."""
        query, key, value, weights, used, keep = ctx.saved_tensors
        tokens, heads, width = gradient_THK.shape
        rows, shape = ctx.rows, query.shape
        if rows.shared:  # what a shared token gave came from one of its slots alone
            flat = gradient_THK.new_zeros(shape[0] * shape[1] + 1, width)
            gradient = flat.index_copy_(0, rows.slots, gradient_THK.reshape(-1, width))[:-1].view(shape)
        else:
            flat = gradient_THK.new_zeros(tokens * heads + 1, width)
            flat[:-1].view(gradient_THK.shape).copy_(gradient_THK)
            gradient = flat.index_select(0, rows.gradients).view(shape)
        weights_gradient = torch.bmm(gradient, value.transpose(1, 2))
        if keep is not None:
            weights_gradient.mul_(keep)
        scores_gradient = torch._softmax_backward_data(
            weights_gradient.to(weights.dtype), weights, -1, weights.dtype
        ).mul_(ctx.scale * ctx.keep_scale)
        scores_gradient = scores_gradient.to(query.dtype)
        padded = query.new_zeros(3, shape[0] * shape[1] + 1, width)
        into = padded[:, :-1].unflatten(1, shape[:2])
        torch.bmm(scores_gradient, key, out=into[0])
        torch.bmm(scores_gradient.transpose(1, 2), query, out=into[1])
        torch.bmm(used.transpose(1, 2), gradient, out=into[2])
        if rows.shared:
            gradients = [
                _summed(x[:-1], index, tokens * count).view(tokens, count, width)
                for x, index, count in zip(
                    padded,
                    (rows.queries, rows.keys, rows.keys),
                    (heads, ctx.key_heads, ctx.key_heads),
                    strict=True,
                )
            ]
        else:
            gradients = [x.index_select(0, rows.slots).view(tokens, heads, width) for x in padded]
            groups = heads // ctx.key_heads
            if groups > 1:
                gradients[1:] = [x.view(tokens, ctx.key_heads, groups, width).sum(2) for x in gradients[1:]]
        return (*gradients, None, None, None, None, None)


def _summed(x_SK: Tensor, rows_S: Tensor, count: int) -> Tensor:
    """[count, K]: the sum of the slots of each row, added in float32 or wider."""
    wide = torch.promote_types(x_SK.dtype, torch.float32)
    sums = torch.zeros(count, x_SK.shape[1], dtype=wide, device=x_SK.device)
    return sums.index_add_(0, rows_S, x_SK.to(wide)).to(x_SK.dtype)
