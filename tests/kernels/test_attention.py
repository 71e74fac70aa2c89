"""Packed attention by itself: dropout and masks. Its results are compared with transformers' in tests/parity."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from feathertune.kernels import attention
from feathertune.kernels.attention import packed_attention
from feathertune.kernels.dropout import seed_dropout
from feathertune.tokens.batch import Packing, pack
from lively import lively_classifier, packed_logits
from tiny import random_texts

CAUSAL: Any = SimpleNamespace(is_causal=True)
BOTH_WAYS: Any = SimpleNamespace(is_causal=False)
LENGTHS = [150, 5, 131, 1]  # above 128, so that SDPA is used; all but the first leave slots empty


def attend(length: int, sequences: int, dropout: float) -> torch.Tensor:
    """The same sequence, `sequences` times over: [B, L, H, K]."""
    texts = random_texts([length] * sequences)
    packing = pack(texts, torch.arange(sequences).numpy()).packing
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, length, 4, generator=generator).repeat(1, 1, sequences, 1) for _ in range(3))
    out, weights = packed_attention(CAUSAL, query, key, value, None, packing=packing, dropout=dropout)
    assert weights is None
    return out.reshape(sequences, length, 2, 4)


@pytest.mark.parametrize(("length", "sequences"), [(3, 6000), (130, 400)], ids=["explicit", "sdpa"])
def test_dropout_keeps_the_expectation(length: int, sequences: int) -> None:
    torch.manual_seed(0)
    dropped, whole = attend(length, sequences, dropout=0.2), attend(length, sequences, dropout=0.0)
    error = dropped.std(0) / sequences**0.5
    assert (dropped - whole).abs().max() > 0.5
    assert ((dropped.mean(0) - whole[0]).abs() <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("length", [3, 130], ids=["explicit", "sdpa"])
def test_dropout_follows_the_seed(length: int) -> None:
    seed_dropout(1)
    first, second = attend(length, 4, dropout=0.5), attend(length, 4, dropout=0.5)
    seed_dropout(1)
    assert torch.equal(first, attend(length, 4, dropout=0.5))
    assert not torch.equal(first, second)


def test_a_model_drops_attention_weights_only_while_it_trains() -> None:
    classifier = lively_classifier("gpt2", attn_pdrop=0.5, resid_pdrop=0.0, embd_pdrop=0.0)
    texts = random_texts([9, 4])
    still = packed_logits(classifier, texts)
    assert torch.equal(still, packed_logits(classifier, texts))
    classifier.train()
    assert not torch.equal(still, packed_logits(classifier, texts))


def test_sequences_of_one_token_see_themselves() -> None:
    value = torch.randn(1, 1, 3, 4)
    packing = pack(random_texts([1, 1, 1]), torch.arange(3).numpy()).packing
    out, _ = packed_attention(CAUSAL, torch.randn(1, 1, 3, 4), torch.randn(1, 1, 3, 4), value, None, packing=packing)
    assert torch.equal(out[0, :, 0], value[0, 0])


def test_a_mask_is_refused() -> None:
    x = torch.zeros(1, 1, 3, 4)
    packing = pack(random_texts([3]), torch.arange(1).numpy()).packing
    with pytest.raises(ValueError, match="packed attention was given a mask"):
        packed_attention(CAUSAL, x, x, x, torch.zeros(3, 3), packing=packing)


def packing_of(lengths: list[int]) -> Packing:
    return pack(random_texts(lengths), torch.arange(len(lengths)).numpy()).packing


def heads(tokens: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Queries [1, 4, T, 8], keys and values [1, 2, T, 8] (grouped), and a gradient of the output [1, T, 4, 8]."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, 4, tokens, 8), (1, 2, tokens, 8), (1, 2, tokens, 8), (1, tokens, 4, 8)]
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def output_and_gradients(inputs: list[Tensor], packing: Packing, **options: Any) -> list[Tensor]:
    """The output of causal attention, and the gradients of queries, keys and values."""
    *qkv, gradient = inputs
    leaves = [x.clone().requires_grad_() for x in qkv]
    out, _ = packed_attention(CAUSAL, *leaves, None, packing=packing, **options)
    out.backward(gradient)
    return [out.detach(), *(x.grad for x in leaves if x.grad is not None)]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_long_causal_texts_give_the_same_without_a_mask_as_with_one(
    dtype: torch.dtype, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, tolerance = heads(sum(LENGTHS), dtype=dtype), 1e-5 if dtype == torch.float32 else 1e-2
    seed_dropout(1)
    without = output_and_gradients(inputs, packing_of(LENGTHS), dropout=dropout)
    monkeypatch.setattr(attention, "_is_plain_causal", lambda *_: False)
    seed_dropout(1)
    masked = output_and_gradients(inputs, packing_of(LENGTHS), dropout=dropout)
    assert len(masked) == 4
    for found, wanted in zip(without, masked, strict=True):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def test_empty_slots_of_long_causal_texts_reach_no_gradient() -> None:
    """Alone, a text leaves no slot empty; output and gradients must be those it has together with longer ones."""
    inputs = heads(sum(LENGTHS))
    together = output_and_gradients(inputs, packing_of(LENGTHS))
    query, key, value, gradient = inputs
    ends = torch.tensor(LENGTHS).cumsum(0).tolist()
    for length, end in zip(LENGTHS, ends, strict=True):
        own = slice(end - length, end)
        inputs = [query[:, :, own], key[:, :, own], value[:, :, own], gradient[:, own]]
        out, *gradients = output_and_gradients(inputs, packing_of([length]))
        torch.testing.assert_close(together[0][:, own], out, rtol=1e-5, atol=1e-5)
        for found, wanted in zip(together[1:], gradients, strict=True):
            torch.testing.assert_close(found[:, :, own], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("module", "window", "made"),
    [(CAUSAL, None, 0), (CAUSAL, 150, 0), (CAUSAL, 149, 1), (BOTH_WAYS, None, 1)],
    ids=["causal", "a window wider than every text", "a window", "both ways"],
)
def test_long_causal_texts_build_no_mask(
    module: Any, window: int | None, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be [B, L, L]: 64 MiB for one text of 4,096 tokens."""
    calls, make_bias = [], attention._make_bias

    def counted(*arguments: Any) -> Tensor:
        calls.append(arguments)
        return make_bias(*arguments)

    monkeypatch.setattr(attention, "_make_bias", counted)
    query, key, value, _ = heads(sum(LENGTHS))
    packed_attention(module, query, key, value, None, packing=packing_of(LENGTHS), sliding_window=window)
    assert len(calls) == made
