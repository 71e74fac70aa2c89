"""A bias of attention scores, and the one that depends on the distance between query and key."""

import pytest
import torch
from torch import Tensor

from feathertune.kernels.attention import packed_attention
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.kernels.relative_bias import RelativeBias
from feathertune.tokens.batch import Packing, pack
from tiny import random_texts

HEADS, WIDTH = 2, 4


def packing_of(lengths: list[int]) -> Packing:
    return pack(random_texts(lengths), torch.arange(len(lengths)).numpy()).packing


def leaves(lengths: list[int], biases: int, queries: int) -> list[Tensor]:
    """Queries, keys and values [1, H, T, K], and a bias [1 or B, H, Q, L], all with a gradient."""
    generator = torch.Generator().manual_seed(0)
    longest = packing_of(lengths).longest
    shapes = [(1, HEADS, sum(lengths), WIDTH)] * 3 + [(biases, HEADS, queries, longest)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def plain_attention(inputs: list[Tensor], lengths: list[int]) -> Tensor:
    """[1, T, H, K]: each sequence by itself, as a textbook has it."""
    query, key, value, bias = inputs
    outs, start = [], 0
    for index, length in enumerate(lengths):
        q, k, v = (x[0, :, start : start + length] for x in (query, key, value))
        own_HLL = bias[index % len(bias), :, :length, :length]
        outs.append(torch.softmax(q @ k.transpose(1, 2) / WIDTH**0.5 + own_HLL, dim=-1) @ v)
        start += length
    return torch.cat(outs, dim=1).transpose(0, 1)[None]


@pytest.mark.parametrize("shared", [True, False], ids=["one for all", "one per sequence"])
@pytest.mark.parametrize("lengths", [[5, 1, 12], [140, 3, 129]], ids=["explicit", "sdpa"])
def test_outputs_and_gradients_are_those_of_plain_attention(lengths: list[int], shared: bool) -> None:
    packing = packing_of(lengths)
    inputs = leaves(lengths, 1 if shared else len(lengths), packing.longest)
    *qkv, bias = inputs
    found, _ = packed_attention(torch.nn.Module(), *qkv, None, packing=packing, score_bias=bias)
    wanted = plain_attention(inputs, lengths)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    gradient = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.autograd.grad(out, inputs, gradient) for out in (found, wanted))
    for name, one, other in zip(("query", "key", "value", "bias"), ours, theirs, strict=True):
        assert other.abs().max() > 0.1, name
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=name)


def test_a_dropped_weight_passes_no_gradient_to_its_bias() -> None:
    lengths = [5, 12]
    *qkv, bias = leaves(lengths, 1, packing_of(lengths).longest)
    out, _ = packed_attention(torch.nn.Module(), *qkv, None, packing=packing_of(lengths), score_bias=bias, dropout=1.0)
    gradients = torch.autograd.grad(out.sum(), [qkv[2], bias])
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("lengths", [[5, 1, 12], [140, 3, 129]], ids=["short", "long"])
def test_a_pooled_query_has_the_bias_of_its_position(lengths: list[int]) -> None:
    """Rows of the whole bias, for sequences whose last token is pooled."""
    packing = packing_of(lengths)
    bias = RelativeBias(torch.randn(9, HEADS, generator=torch.Generator().manual_seed(0)), packing)
    whole_1HLL, rows_BH1L = bias.of(packing), bias.of(PooledPacking(packing, packing.lengths_B - 1))
    for index, length in enumerate(lengths):
        assert torch.equal(rows_BH1L[index, :, 0], whole_1HLL[0, :, length - 1])


def test_beyond_the_reach_a_distance_has_the_bias_of_the_reach() -> None:
    table_NH = torch.tensor([-20.0, -10.0, 0.0, 1.0, 2.0])[:, None]  # two positions before the query ... two after
    bias = RelativeBias(table_NH, packing_of([4]))
    wanted = [[0, 1, 2, 2], [-10, 0, 1, 2], [-20, -10, 0, 1], [-20, -20, -10, 0]]
    assert bias.of(packing_of([4]))[0, 0].tolist() == wanted


def test_the_bias_is_made_once_for_a_batch_of_any_size() -> None:
    packing = packing_of([16] * 50)
    bias = RelativeBias(torch.zeros(257, HEADS), packing)
    assert bias.of(packing).shape == (1, HEADS, 16, 16)
    assert bias.of(packing) is bias.of(packing)
