"""Disentangled attention equals the plain formula with a relative embedding for each pair of tokens."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from feathertune.kernels.disentangled import HeadMajorRows, Tables, disentangled_attention
from feathertune.kernels.dropout import dropout_mask, seed_dropout
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.tokens.batch import Packing, pack
from tiny import random_texts

HEADS, WIDTH = 3, 4
PARTS = {"both": (True, True), "c2p": (True, False), "p2c": (False, True), "neither": (False, False)}


def plainly(
    query_THK: Tensor,
    key_THK: Tensor,
    value_THK: Tensor,
    by_offset: tuple[Tensor | None, Tensor | None],
    packing: Packing,
    mask_HBLL: Tensor | None = None,
) -> Tensor:
    """Text by text, with [L, L, H, K] relative embeddings. The tables [2 L, H, K] begin with offset 1 - L."""
    out_THK = torch.zeros_like(query_THK)
    for text, (start, length) in enumerate(zip(packing.starts_B.tolist(), packing.lengths_B.tolist(), strict=True)):
        q, k, v = (x[start : start + length] for x in (query_THK, key_THK, value_THK))
        offsets = torch.arange(length)[:, None] - torch.arange(length) + packing.longest - 1
        scores = torch.einsum("ihk,jhk->hij", q, k)
        keys, queries = by_offset
        if keys is not None:
            scores = scores + torch.einsum("ihk,ijhk->hij", q, keys[offsets])
        if queries is not None:
            scores = scores + torch.einsum("ijhk,jhk->hij", queries[offsets], k)
        weights = torch.softmax(scores / math.sqrt(3 * WIDTH), -1)
        if mask_HBLL is not None:
            weights = weights * mask_HBLL[:, text, :length, :length]
        out_THK[start : start + length] = torch.einsum("hij,jhk->ihk", weights, v)
    return out_THK


def inputs(
    packing: Packing, parts: tuple[bool, bool]
) -> tuple[list[Tensor], tuple[Tensor | None, Tensor | None], list[Tensor]]:
    """Queries, keys and values; the tables by offset; and all of them that are there."""
    torch.manual_seed(0)
    size = (len(packing.to_packed_T), HEADS, WIDTH)
    qkv = [torch.randn(size, dtype=torch.float64).requires_grad_() for _ in range(3)]
    keys, queries = (
        torch.randn(2 * packing.longest, HEADS, WIDTH, dtype=torch.float64).requires_grad_() if there else None
        for there in parts
    )
    return qkv, (keys, queries), [*qkv, *(x for x in (keys, queries) if x is not None)]


def tables(by_offset: tuple[Tensor | None, Tensor | None]) -> Tables:
    keys, queries = by_offset
    return Tables(None if keys is None else keys.flip(0), queries)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("lengths", [[5, 1, 9, 3], [1], [1, 1], [20, 2]], ids=str)
def test_outputs_and_gradients(lengths: list[int], parts: tuple[bool, bool], dropout: float) -> None:
    packing = pack(random_texts(lengths), np.arange(len(lengths)), multiple=8).packing
    qkv, by_offset, leaves = inputs(packing, parts)
    seed_dropout(3)
    ours = disentangled_attention(*qkv, tables(by_offset), packing, scale=1 / math.sqrt(3 * WIDTH), dropout=dropout)
    seed_dropout(3)
    shape = (HEADS, len(lengths), packing.longest, packing.longest)
    mask, scale = dropout_mask(torch.empty(shape, dtype=torch.float64), torch.float64, dropout)
    wanted = plainly(*qkv, by_offset, packing, None if mask is None else mask * scale)
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-9)
    direction = torch.randn(ours.shape, dtype=torch.float64)
    direction[packing.real_tokens :] = 0
    found, expected = (torch.autograd.grad((x * direction).sum(), leaves) for x in (ours, wanted))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("end", ["starts_B", "ends_B"])
def test_the_pooled_token_alone_gets_what_it_gets_among_all(end: str) -> None:
    packing = pack(random_texts([5, 1, 9, 3]), np.arange(4)).packing
    (query, key, value), by_offset, _ = inputs(packing, (True, True))
    rows_B = getattr(packing, end)
    positions_B = torch.zeros(4, dtype=torch.long) if end == "starts_B" else packing.lengths_B - 1
    options = {"scale": 0.3, "dropout": 0.0}
    whole = disentangled_attention(query, key, value, tables(by_offset), packing, **options)
    pooled = PooledPacking(packing, positions_B)
    alone = disentangled_attention(query[rows_B], key, value, tables(by_offset), pooled, **options)
    torch.testing.assert_close(alone, whole[rows_B], rtol=0, atol=1e-6)  # its softmax is float32


def test_texts_that_share_tokens_are_refused() -> None:
    packing = replace(pack(random_texts([3, 2]), np.arange(2)).packing, shares=True)
    with pytest.raises(ValueError, match="share tokens"):
        HeadMajorRows.of(packing, HEADS)
