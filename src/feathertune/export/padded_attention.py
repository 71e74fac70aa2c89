"""Attention over a padded batch, by operations that other runtimes have; it takes the place of packed attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.kernels.disentangled import Tables, pooled_attention
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.tokens.batch import Packing

MASKED = -1e30  # finite: a padding query may see only padding, and a row of -inf would become NaN


@dataclass(frozen=True)
class PaddedPacking(Packing):
    """The `Packing` of a padded batch: slot (b, l) is token b * L + l, real or padding.

    Attributes:
        batch: B.
    """

    batch: int = 0

    @classmethod
    def of(cls, lengths_B: Tensor, batch: int, longest: int, pooling: str) -> PaddedPacking:
        """The layout of B texts of these lengths, padded to `longest`."""
        starts_B = torch.arange(batch, device=lengths_B.device) * longest
        ends_B = starts_B + lengths_B - 1
        tokens_T = torch.arange(batch * longest, device=lengths_B.device)
        return cls(
            starts_B=starts_B,
            ends_B=ends_B,
            lengths_B=lengths_B,
            longest=longest,
            from_packed_BL=tokens_T.view(batch, longest),
            to_packed_T=tokens_T,
            real_tokens=batch * longest,
            pooled_B={"first": starts_B, "last": ends_B}.get(pooling),
            batch=batch,
        )

    def bias(self, causal: bool, window: int | None, pooled_positions_B: Tensor | None) -> Tensor | None:
        """The bias added to attention scores, computed once for all layers.

        [B or 1, 1, L or 1, L]: 0 where a query may attend, a very low number elsewhere; None: all zero.
        """
        key = ("padded bias", causal, window, pooled_positions_B is not None)
        if key not in self.memo:
            allowed = self._allowed(causal, window, pooled_positions_B)
            self.memo[key] = torch.where(allowed, 0.0, MASKED)[:, None]
        bias: Tensor = self.memo[key]
        return bias

    def unpack(self, x_TD: Tensor) -> Tensor:
        """[T, D] -> [B, L, D], zero at padding."""
        real_BL = torch.arange(self.longest, device=x_TD.device) < self.lengths_B[:, None]
        return x_TD.view(self.batch, self.longest, -1) * real_BL[:, :, None].to(x_TD.dtype)

    def repack(self, x_BLD: Tensor) -> Tensor:
        """[B, L, D] -> [T, D]."""
        return x_BLD.reshape(-1, x_BLD.shape[2])

    def _allowed(self, causal: bool, window: int | None, pooled_positions_B: Tensor | None) -> Tensor:
        slots_L = torch.arange(self.longest, device=self.lengths_B.device)
        queries = slots_L[None] if pooled_positions_B is None else pooled_positions_B[:, None]
        distance = queries[:, :, None] - slots_L
        # With padding on the right, a real causal query sees only real tokens: no padding mask is needed.
        allowed = distance >= 0 if causal else (slots_L < self.lengths_B[:, None])[:, None]
        return allowed if window is None else allowed & (distance.abs() < window)


def padded_attention(
    module: nn.Module,
    query_1HTK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: PaddedPacking | PooledPacking,
    scaling: float | None = None,
    sliding_window: int | None = None,
    score_bias: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """`packed_attention` without its gathers: the same arguments, returns and letters, no dropout."""
    if attention_mask is not None:
        raise ValueError("a mask reached padded attention: the model built one, which it must not")
    positions_B = None
    padded: Any = packing
    if isinstance(packing, PooledPacking):
        collecting = not packing.collected
        key_1JTK, value_1JTK = packing.keys_and_values(key_1JTK, value_1JTK)
        if collecting:
            return query_1HTK.transpose(1, 2), None
        padded, positions_B = packing.packing, packing.positions_B
        query_BHQK = _by_sequence(query_1HTK, padded.batch, 1)
    else:
        query_BHQK = _by_sequence(query_1HTK, padded.batch, padded.longest)
    heads = query_1HTK.shape[1]
    key_BHLK, value_BHLK = (
        _repeat(_by_sequence(x, padded.batch, padded.longest), heads) for x in (key_1JTK, value_1JTK)
    )
    bias = padded.bias(bool(getattr(module, "is_causal", False)), sliding_window, positions_B)
    scale = query_1HTK.shape[-1] ** -0.5 if scaling is None else scaling
    # One matrix per text and head: bmm then transposes K itself instead of a slow separate pass.
    key_SLK, value_SLK, query_SQK = (x.flatten(0, 1) for x in (key_BHLK, value_BHLK, query_BHQK))
    scores_BHQL = torch.bmm(query_SQK, key_SLK.transpose(1, 2)).view(*query_BHQK.shape[:3], -1) * scale
    for added in (bias, score_bias):
        if added is not None:
            scores_BHQL = scores_BHQL + added
    weights_SQL = functional.softmax(scores_BHQL, dim=-1).flatten(0, 1)
    out_BHQK = torch.bmm(weights_SQL, value_SLK).view(query_BHQK.shape)
    return out_BHQK.transpose(1, 2).reshape(1, -1, heads, out_BHQK.shape[-1]), None


def padded_disentangled_attention(
    query_THK: Tensor,
    key_THK: Tensor,
    value_THK: Tensor,
    tables: Tables,
    packing: PaddedPacking | PooledPacking,
    *,
    scale: float,
    dropout: float,
) -> Tensor:
    """`disentangled_attention` without its gathers: the same arguments, returns and letters, no dropout."""
    padded: Any = packing.packing if isinstance(packing, PooledPacking) else packing
    batch, longest, (heads, width) = padded.batch, padded.longest, query_THK.shape[1:]
    bias = padded.bias(False, None, packing.positions_B if isinstance(packing, PooledPacking) else None)
    key_HTK, value_HTK = key_THK.transpose(0, 1).contiguous(), value_THK.transpose(0, 1).contiguous()
    if isinstance(packing, PooledPacking):
        shape = (heads, batch, longest, width)
        return pooled_attention(
            query_THK,
            key_HTK.view(shape),
            value_HTK.view(shape),
            tables,
            packing.positions_B,
            None if bias is None else bias[:, 0],
            scale=scale,
            dropout=dropout,
        )
    query_HTK = query_THK.transpose(0, 1).contiguous()
    query_SLK, key_SLK, value_SLK = (x.view(heads * batch, longest, width) for x in (query_HTK, key_HTK, value_HTK))
    scores_SLL = torch.bmm(query_SLK, key_SLK.transpose(1, 2))
    if tables.keys_RHK is not None:
        product_HTR = torch.bmm(query_HTK, tables.keys_RHK.permute(1, 2, 0))
        scores_SLL = scores_SLL + _diagonals(product_HTR, longest, longest)
    if tables.queries_RHK is not None:
        product_HTR = torch.bmm(key_HTK, tables.queries_RHK.permute(1, 2, 0))
        scores_SLL = scores_SLL + _diagonals(product_HTR, longest, longest - 1).transpose(1, 2)
    scores_SLL = scores_SLL * scale
    if bias is not None:
        scores_SLL = (scores_SLL.view(heads, batch, longest, longest) + bias[:, 0]).view(-1, longest, longest)
    out_SLK = torch.bmm(functional.softmax(scores_SLL, dim=-1), value_SLK)
    return out_SLK.view(heads, batch * longest, width).transpose(0, 1)


def _diagonals(product_HTR: Tensor, longest: int, first: int) -> Tensor:
    """[H, T, 2 L] -> [H * B, L, L]: element (i, j) is that of row i and column `first` - i + j."""
    pairs = product_HTR.reshape(-1, 2 * longest * longest)
    shorter = pairs.narrow(1, first, longest * (2 * longest - 1)).reshape(-1, longest, 2 * longest - 1)
    return shorter[:, :, :longest]


def _by_sequence(x_1HTK: Tensor, batch: int, longest: int) -> Tensor:
    """[1, H, T, K] -> [B, H, L, K], for T = B * L; the first transpose undoes the model's own."""
    heads, width = x_1HTK.shape[1], x_1HTK.shape[3]
    return x_1HTK.transpose(1, 2).reshape(batch, longest, heads, width).transpose(1, 2)


def _repeat(x_BJLK: Tensor, heads: int) -> Tensor:
    """[B, J, L, K] -> [B, H, L, K]: each key/value head serves H / J query heads."""
    batch, kv_heads, longest, width = x_BJLK.shape
    if kv_heads == heads:
        return x_BJLK
    wide = x_BJLK[:, :, None].expand(batch, kv_heads, heads // kv_heads, longest, width)
    return wide.reshape(batch, heads, longest, width)
