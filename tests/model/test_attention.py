"""Packed attention alone: dropout, and masks it must never be given. That it is right is shown in tests/parity."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from feathertune.model.attention import packed_attention
from feathertune.model.dropout import seed_dropout
from feathertune.tokens.batch import pack
from lively import lively_classifier, packed_logits
from tiny import random_texts

CAUSAL: Any = SimpleNamespace(is_causal=True)


def attend(length: int, sequences: int, dropout: float) -> torch.Tensor:
    """The same sequence, `sequences` times: [B, L, H, K]."""
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
    with pytest.raises(ValueError, match="a mask reached packed attention"):
        packed_attention(CAUSAL, x, x, x, torch.zeros(3, 3), packing=packing)
