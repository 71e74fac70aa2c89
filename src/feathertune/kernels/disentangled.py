"""Disentangled attention (He et al. 2020, arXiv:2006.03654) over packed sequences, with a handwritten backward pass.

A score has up to three parts: content to content, q_i k_j; content to position, q_i r_(i-j), with a key r for each
offset; position to content, s_(i-j) k_j, with a query s for each offset. The offsets depend on no text, so r and s are
two small tables [R, H, K] for the whole batch, and no tensor holds a relative embedding for each pair of tokens.

Letters: B sequences, T packed tokens, L longest sequence, S = B * L slots, H heads, K head width, R = 2 L offsets.

Each product with a table, [S, K] with [K, R], has one score for each token and offset, and the wanted one of token i
and j lies i-j columns from the middle: on a diagonal. So the scores [L, L] are a view of the product [L, R] whose rows
are one element shorter, and nothing is gathered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from feathertune.kernels.attention import mask_bias
from feathertune.kernels.dropout import dropout as drop
from feathertune.kernels.dropout import dropout_mask
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.tokens.batch import Packing


@dataclass(frozen=True)
class Tables:
    """What depends on the offset of two tokens alone; each part may be missing.

    Attributes:
        keys_RHK: a key for each offset, from L down to 1 - L, for scores of content to position.
        queries_RHK: a query for each offset, from 1 - L up to L, for scores of position to content.
    """

    keys_RHK: Tensor | None
    queries_RHK: Tensor | None


def disentangled_attention(
    query_THK: Tensor,
    key_THK: Tensor,
    value_THK: Tensor,
    tables: Tables,
    packing: Packing | PooledPacking,
    *,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attend within each sequence: softmax(scale (q k' + q r' + s k')) v.

    Args:
        query_THK: the queries of the T packed tokens, or of the B pooled ones.
        key_THK: the keys.
        value_THK: the values.
        tables: r and s.
        packing: where the sequences lie.
        scale: factor of the scores.
        dropout: probability of dropping an attention weight.

    Returns:
        [T, H, K], or [B, H, K].
    """
    bias_B1L, heads = mask_bias(packing, causal=False, window=None), query_THK.shape[1]
    if isinstance(packing, PooledPacking):
        rows = HeadMajorRows.of(packing.packing, heads)
        key_HBLK, value_HBLK = (rows.unpack(x).view(heads, *_slots(packing.packing), -1) for x in (key_THK, value_THK))
        return pooled_attention(
            query_THK, key_HBLK, value_HBLK, tables, packing.positions_B, bias_B1L, scale=scale, dropout=dropout
        )
    shape = (heads, len(bias_B1L), bias_B1L.shape[-1], bias_B1L.shape[-1])
    mask_HBLL, mask_scale = dropout_mask(query_THK.new_empty(shape), query_THK.dtype, dropout)
    out_THK: Tensor = _Disentangled.apply(  # type: ignore[no-untyped-call]
        query_THK,
        key_THK,
        value_THK,
        tables.keys_RHK,
        tables.queries_RHK,
        bias_B1L,
        HeadMajorRows.of(packing, heads),
        scale,
        mask_HBLL,
        mask_scale,
    )
    return out_THK


def pooled_attention(
    query_BHK: Tensor,
    key_HBLK: Tensor,
    value_HBLK: Tensor,
    tables: Tables,
    positions_B: Tensor,
    bias_B1L: Tensor | None,
    *,
    scale: float,
    dropout: float,
) -> Tensor:
    """[B, H, K]: attention with one query for each sequence, at `positions_B` in it; also used by exports."""
    heads, batch, longest, width = key_HBLK.shape
    offsets_BL = positions_B[:, None] - torch.arange(longest, device=positions_B.device)
    query_HB1K, keys_HBLK = query_BHK.transpose(0, 1)[:, :, None].contiguous(), key_HBLK
    if tables.keys_RHK is not None:
        keys_HBLK = key_HBLK + _at(tables.keys_RHK, longest - offsets_BL).view(key_HBLK.shape)
    pairs = (heads * batch, longest, width)
    scores = torch.bmm(query_HB1K.view(-1, 1, width), keys_HBLK.view(pairs).transpose(1, 2))
    scores_HB1L = scores.view(heads, batch, 1, longest)
    if tables.queries_RHK is not None:
        queries_HBLK = _at(tables.queries_RHK, longest - 1 + offsets_BL).view(key_HBLK.shape)
        scores_HB1L = scores_HB1L + (queries_HBLK * key_HBLK).sum(-1)[:, :, None]
    scores_HB1L = scores_HB1L * scale if bias_B1L is None else scores_HB1L * scale + bias_B1L
    weights_HB1L = drop(torch.softmax(scores_HB1L, dim=-1, dtype=torch.float32), dropout)
    out = torch.bmm(weights_HB1L.to(value_HBLK.dtype).view(-1, 1, longest), value_HBLK.reshape(pairs))
    return out.view(heads, batch, width).transpose(0, 1)


@dataclass(frozen=True)
class HeadMajorRows:
    """Indices between the rows of a flat [T * H, K] tensor and the slots of its padded form [H, B, L, K].

    Heads come first, so that a table's product with all texts is one product for each head.

    Attributes:
        tokens: [H * B * L] int64, the row of each slot; slots past a sequence's end repeat its last token.
        gradients: the same, but slots past a sequence's end point to a row of zeros after the last row.
        slots: [T * H] int64, the slot of each row; tokens that belong to no sequence point to a row of zeros after the
            last slot.
    """

    tokens: Tensor
    gradients: Tensor
    slots: Tensor

    @classmethod
    def of(cls, packing: Packing, heads: int) -> HeadMajorRows:
        """The indices of a packing whose sequences share no tokens, computed once for all layers."""
        rows = packing.memo.get((cls, heads))
        if rows is None:
            rows = packing.memo[cls, heads] = cls._make(packing, heads)
        return rows

    @classmethod
    def _make(cls, packing: Packing, heads: int) -> HeadMajorRows:
        if packing.shares:
            raise ValueError("sequences that share tokens cannot attend to later tokens")
        tokens_BL, device = packing.from_packed_BL, packing.from_packed_BL.device
        tokens, heads_H = len(packing.to_packed_T), torch.arange(heads, device=device)
        rows_HBL = tokens_BL * heads + heads_H[:, None, None]
        past_BL = torch.arange(packing.longest, device=device) >= packing.lengths_B[:, None]
        slots_TH = packing.to_packed_T[:, None] + heads_H * tokens_BL.numel()
        slots_TH[packing.real_tokens :] = rows_HBL.numel()
        return cls(rows_HBL.flatten(), rows_HBL.masked_fill(past_BL, tokens * heads).flatten(), slots_TH.flatten())

    def unpack(self, x_THK: Tensor) -> Tensor:
        """[T, H, K] -> [H, S, K], contiguous."""
        return x_THK.reshape(-1, x_THK.shape[2]).index_select(0, self.tokens).view(x_THK.shape[1], -1, x_THK.shape[2])

    def pack(self, padded: Tensor, like_THK: Tensor) -> Tensor:
        """[H * S + 1, K], whose last row is zero -> [T, H, K]."""
        return padded.index_select(0, self.slots).view(like_THK.shape)


class _Disentangled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query_THK: Tensor,
        key_THK: Tensor,
        value_THK: Tensor,
        table_key_RHK: Tensor | None,
        table_query_RHK: Tensor | None,
        bias_B1L: Tensor,
        rows: HeadMajorRows,
        scale: float,
        mask_HBLL: Tensor | None,
        mask_scale: float,
    ) -> Tensor:
        """[T, H, K]: see `disentangled_attention`."""
        heads, width, longest = query_THK.shape[1], query_THK.shape[2], bias_B1L.shape[-1]
        pairs = (heads * len(bias_B1L), longest, width)
        query_HSK, key_HSK, value_HSK = (rows.unpack(x) for x in (query_THK, key_THK, value_THK))
        tables = [None if x is None else x.transpose(0, 1).contiguous() for x in (table_key_RHK, table_query_RHK)]
        scores = torch.bmm(query_HSK.view(pairs), key_HSK.view(pairs).transpose(1, 2))
        scores_HBLL = torch.add(bias_B1L, scores.view(heads, -1, longest, longest), alpha=scale)
        scores = scores_HBLL.view(-1, longest, longest)
        if (table_HRK := tables[0]) is not None:
            scores.add_(_diagonals(torch.bmm(query_HSK, table_HRK.transpose(1, 2)), longest, longest), alpha=scale)
        if (table_HRK := tables[1]) is not None:
            by_key = _diagonals(torch.bmm(key_HSK, table_HRK.transpose(1, 2)), longest, longest - 1)
            scores.add_(by_key.transpose(1, 2), alpha=scale)
        weights = torch.softmax(scores, dim=-1)
        used = (weights if mask_HBLL is None else weights * mask_scale).to(value_HSK.dtype)
        mask = None if mask_HBLL is None else mask_HBLL.view(used.shape)
        if mask is not None:
            used.mul_(mask)
        padded = value_HSK.new_zeros(rows.tokens.numel() + 1, width)
        torch.bmm(used, value_HSK.view(pairs), out=padded[:-1].view(pairs))
        ctx.save_for_backward(query_HSK, key_HSK, value_HSK, *tables, weights, used, mask)
        ctx.rows, ctx.scale, ctx.mask_scale = rows, scale, mask_scale
        return rows.pack(padded, query_THK)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_THK: Tensor) -> tuple[Tensor | None, ...]:
        """[T, H, K] -> the gradients of queries, keys, values and both tables."""
        query_HSK, key_HSK, value_HSK, table_key_HRK, table_query_HRK, weights, used, mask = ctx.saved_tensors
        rows, width, longest = ctx.rows, query_HSK.shape[2], weights.shape[-1]
        pairs = (len(weights), longest, width)
        flat = gradient_THK.new_zeros(gradient_THK.numel() // width + 1, width)
        flat[:-1].view(gradient_THK.shape).copy_(gradient_THK)
        gradient = flat.index_select(0, rows.gradients).view(pairs)
        weights_gradient = torch.bmm(gradient, value_HSK.view(pairs).transpose(1, 2))
        if mask is not None:
            weights_gradient.mul_(mask)
        scores_gradient = torch._softmax_backward_data(
            weights_gradient.to(weights.dtype), weights, -1, weights.dtype
        ).mul_(ctx.scale * ctx.mask_scale)
        scores_gradient = scores_gradient.to(query_HSK.dtype)
        padded = query_HSK.new_zeros(3, rows.tokens.numel() + 1, width)
        of_query, of_key, of_value = (x[:-1].view(pairs) for x in padded)
        torch.bmm(scores_gradient, key_HSK.view(pairs), out=of_query)
        torch.bmm(scores_gradient.transpose(1, 2), query_HSK.view(pairs), out=of_key)
        torch.bmm(used.transpose(1, 2), gradient, out=of_value)
        tables: list[Tensor | None] = [None, None]
        for place, table_HRK, x_HSK, of_x, its_gradient in (
            (0, table_key_HRK, query_HSK, of_query, scores_gradient),
            (1, table_query_HRK, key_HSK, of_key, scores_gradient.transpose(1, 2)),
        ):
            if table_HRK is not None:
                product_HSR = x_HSK.new_zeros(*x_HSK.shape[:2], table_HRK.shape[1])
                _diagonals(product_HSR, longest, longest - place).copy_(its_gradient)
                of_x.view(x_HSK.shape).baddbmm_(product_HSR, table_HRK)
                tables[place] = torch.bmm(product_HSR.transpose(1, 2), x_HSK).transpose(0, 1)
        return (*(rows.pack(x, gradient_THK) for x in padded), *tables, None, None, None, None, None)


def _diagonals(product_HSR: Tensor, longest: int, first: int) -> Tensor:
    """[H, S, R] -> [H * B, L, L], a view: element (i, j) is that of row i and column `first` - i + j."""
    columns = product_HSR.shape[2]
    size = (product_HSR.numel() // (longest * columns), longest, longest)
    return product_HSR.as_strided(size, (longest * columns, columns - 1, 1), first)


def _at(table_RHK: Tensor, rows_BL: Tensor) -> Tensor:
    """[R, H, K] -> [H, B * L, K]: the table's rows for each slot."""
    return table_RHK.index_select(0, rows_BL.flatten()).transpose(0, 1).contiguous()


def _slots(packing: Packing) -> tuple[int, int]:
    return len(packing.lengths_B), packing.longest
