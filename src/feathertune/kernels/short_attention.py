"""Attention over many short sequences, with few, large operators and a handwritten backward pass.

Letters: B sequences, T packed tokens, L longest sequence, H heads, J key/value heads, K head width.

Each head of each sequence is a small padded matrix [L, K]. Between the large products of the linear layers, every
operator costs tens of microseconds, however little it computes. Autograd's version of matmul, scale, mask, softmax,
dropout and matmul needs three times as many operators.
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
    """Indices between the rows of a flat [T * heads, K] tensor and the slots of its padded form [B, H, L, K].

    Attributes:
        queries: [B * H * L] int64, the query row of each slot; slots past a sequence's end repeat its last token.
        keys: the same for keys and values; each of their J heads serves H / J query heads.
        gradients: like `queries`, but slots past a sequence's end point to a row of zeros after the last row.
        slots: [T * H] int64, the slot of each token and head in [B * H * L]; tokens that belong to no sequence point to
            a row of zeros after the last slot.
        shared: whether a row may fill several slots of real tokens, so that its gradient is a sum over them.
    """

    queries: Tensor
    keys: Tensor
    gradients: Tensor
    slots: Tensor
    shared: bool

    @classmethod
    def of(cls, packing: Packing, heads: int, key_heads: int) -> HeadRows:
        """The indices of a packing, computed once for all layers."""
        rows = packing.memo.get((cls, heads, key_heads))
        if rows is None:
            rows = packing.memo[cls, heads, key_heads] = cls._make(packing, heads, key_heads)
        return rows

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
    mask_BHLL: Tensor | None,
    mask_scale: float,
    score_bias: Tensor | None = None,
) -> Tensor:
    """softmax(scale q k' + bias) v within each sequence.

    Args:
        query_THK: queries of any float dtype, which is also that of the products. The softmax is float32 or wider.
        key_TJK: keys.
        value_TJK: values.
        bias_BQL: [B, 1 or L, L], 0 for visible keys, very low for the others.
        packing: where the sequences lie.
        scale: factor of the scores.
        mask_BHLL: the dropout mask, 0 or 1 for each attention weight, or None.
        mask_scale: factor of the weights that dropout keeps.
        score_bias: [1 or B, H, L, L], added to the scores too, or None. Unlike `bias_BQL` it gets a gradient.

    Returns:
        [T, H, K]; zero for tokens that belong to no sequence.
    """
    rows = HeadRows.of(packing, query_THK.shape[1], key_TJK.shape[1])
    out: Tensor = _ShortAttention.apply(  # type: ignore[no-untyped-call]
        query_THK, key_TJK, value_TJK, bias_BQL, rows, scale, mask_BHLL, mask_scale, score_bias
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
        mask_BHLL: Tensor | None,
        mask_scale: float,
        score_bias: Tensor | None,
    ) -> Tensor:
        """[T, H, K]: attention through the score matrix of each sequence and head; see `short_attention`."""
        tokens, heads, width = query_THK.shape
        sequences, longest = len(bias_BQL), bias_BQL.shape[-1]
        shape = (sequences * heads, longest, width)
        query, key, value = (
            x.reshape(-1, width).index_select(0, index).view(shape)
            for x, index in ((query_THK, rows.queries), (key_TJK, rows.keys), (value_TJK, rows.keys))
        )
        scores_BHLL = torch.bmm(query, key.transpose(1, 2)).view(sequences, heads, longest, longest)
        scores_BHLL = torch.add(bias_BQL[:, None], scores_BHLL, alpha=scale)
        if score_bias is not None:
            scores_BHLL.add_(score_bias)
        weights = torch.softmax(scores_BHLL, dim=-1).view(-1, longest, longest)
        used = (weights if mask_BHLL is None else weights * mask_scale).to(value.dtype)
        mask = None if mask_BHLL is None else mask_BHLL.view(used.shape)
        if mask is not None:
            used.mul_(mask)
        padded = value.new_zeros(sequences * heads * longest + 1, width)
        torch.bmm(used, value, out=padded[:-1].view(shape))
        ctx.save_for_backward(query, key, value, weights, used, mask)
        ctx.rows, ctx.scale, ctx.mask_scale, ctx.key_heads = rows, scale, mask_scale, key_TJK.shape[1]
        ctx.score_bias = None if score_bias is None else (score_bias.shape, score_bias.dtype)
        return padded.index_select(0, rows.slots).view(tokens, heads, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_THK: Tensor) -> tuple[Tensor | None, ...]:
        """[T, H, K] -> the gradients of queries, keys and values."""
        query, key, value, weights, used, mask = ctx.saved_tensors
        tokens, heads, width = gradient_THK.shape
        rows, shape = ctx.rows, query.shape
        if rows.shared:  # the output of a shared token was read from only one of its slots
            flat = gradient_THK.new_zeros(shape[0] * shape[1] + 1, width)
            gradient = flat.index_copy_(0, rows.slots, gradient_THK.reshape(-1, width))[:-1].view(shape)
        else:
            flat = gradient_THK.new_zeros(tokens * heads + 1, width)
            flat[:-1].view(gradient_THK.shape).copy_(gradient_THK)
            gradient = flat.index_select(0, rows.gradients).view(shape)
        weights_gradient = torch.bmm(gradient, value.transpose(1, 2))
        if mask is not None:
            weights_gradient.mul_(mask)
        scores_gradient = torch._softmax_backward_data(weights_gradient.to(weights.dtype), weights, -1, weights.dtype)
        bias_gradient = None
        if ctx.needs_input_grad[8]:
            bias_shape, bias_dtype = ctx.score_bias
            each_BHLL = scores_gradient.view(-1, *bias_shape[1:])
            summed = each_BHLL.sum(0, keepdim=True) if bias_shape[0] == 1 else each_BHLL
            bias_gradient = (summed * ctx.mask_scale).to(bias_dtype)
        scores_gradient = scores_gradient.mul_(ctx.scale * ctx.mask_scale).to(query.dtype)
        padded = query.new_zeros(3, shape[0] * shape[1] + 1, width)
        outputs = padded[:, :-1].unflatten(1, shape[:2])
        torch.bmm(scores_gradient, key, out=outputs[0])
        torch.bmm(scores_gradient.transpose(1, 2), query, out=outputs[1])
        torch.bmm(used.transpose(1, 2), gradient, out=outputs[2])
        if rows.shared:
            gradients = [
                _sum_by_row(x[:-1], index, tokens * count).view(tokens, count, width)
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
        return (*gradients, None, None, None, None, None, bias_gradient)


def _sum_by_row(x_SK: Tensor, rows_S: Tensor, count: int) -> Tensor:
    """[count, K]: the sum over the slots of each row, in float32 or wider."""
    wide = torch.promote_types(x_SK.dtype, torch.float32)
    sums = torch.zeros(count, x_SK.shape[1], dtype=wide, device=x_SK.device)
    return sums.index_add_(0, rows_S, x_SK.to(wide)).to(x_SK.dtype)
