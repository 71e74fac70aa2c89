"""Packed logits and gradients equal those of transformers' own padded models, whatever else is in the batch."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from feathertune.kernels import disentangled, varlen
from feathertune.kernels.attention import mask_bias
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import FAMILIES as SUPPORTED
from feathertune.model.substitution import conv1d_names
from feathertune.tokens.batch import pack
from feathertune.tokens.tokenized import TokenizedTexts
from lively import LABELS, MODELS, largest_difference, packed_logits
from tiny import FAMILIES, padded_logits, random_texts, tiny_config, transformers_twin

# One token, equal lengths, longer than every sliding window (8), and longer than 128, where SDPA takes over.
TEXTS = random_texts([5, 1, 30, 30, 9, 160, 2, 1, 17, 8, 129, 128])
SHORT = [0, 1, 2, 3, 4, 6, 7, 8, 9]
ALL = list(range(len(TEXTS)))


@cache
def model_and_twin(name: str) -> tuple[PackedClassifier, Any]:
    classifier = MODELS[name]()
    return classifier, transformers_twin(classifier)


def test_every_supported_family_is_tested() -> None:
    assert {tiny_config(name).model_type for name in FAMILIES} == set(SUPPORTED)


@pytest.mark.parametrize("indices", [ALL, SHORT[::-1], [5], [1], [1, 7], [2, 3], [11]], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_logits(name: str, indices: list[int]) -> None:
    classifier, twin = model_and_twin(name)
    packed, padded = packed_logits(classifier, TEXTS, indices), padded_logits(twin, TEXTS, np.array(indices))
    assert largest_difference(packed, padded) < 1e-5


@pytest.mark.parametrize("name", MODELS)
@given(st.lists(st.sampled_from(SHORT), min_size=1, max_size=6))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_logits_in_any_order(name: str, indices: list[int]) -> None:
    classifier, twin = model_and_twin(name)
    packed, padded = packed_logits(classifier, TEXTS, indices), padded_logits(twin, TEXTS, np.array(indices))
    assert largest_difference(packed, padded) < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_a_texts_logits_do_not_depend_on_its_batch(name: str) -> None:
    classifier, _ = model_and_twin(name)
    together = packed_logits(classifier, TEXTS)
    alone = torch.cat([packed_logits(classifier, TEXTS, [index]) for index in ALL])
    assert largest_difference(together, alone) < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_large_enough_for_the_tolerance_to_mean_something(name: str) -> None:
    logits = packed_logits(model_and_twin(name)[0], TEXTS)
    assert logits.std(0).mean() > 0.2


@pytest.mark.parametrize("name", MODELS)
def test_a_wrong_mask_would_be_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, _ = model_and_twin(name)
    right, scope = packed_logits(classifier, TEXTS), varlen.AttentionScope

    def causal_flipped(causal: bool, window: int | None) -> varlen.AttentionScope:
        return scope(not causal, window)

    def window_wider_by_one(causal: bool, window: int | None) -> varlen.AttentionScope:
        return scope(causal, None if window is None else window + 1)

    monkeypatch.setattr(varlen, "AttentionScope", causal_flipped)
    monkeypatch.setattr(
        disentangled, "mask_bias", lambda packing, causal, window: mask_bias(packing, not causal, window)
    )
    assert largest_difference(right, packed_logits(classifier, TEXTS)) > 1e-2
    if any(word in name for word in ("window", "modernbert", "gemma3")):
        monkeypatch.setattr(varlen, "AttentionScope", window_wider_by_one)
        assert largest_difference(right, packed_logits(classifier, TEXTS)) > 1e-3


@pytest.mark.parametrize("indices", [SHORT, [4, 1, 10]], ids=["explicit", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients(name: str, indices: list[int]) -> None:
    classifier, twin = model_and_twin(name)
    labels = torch.arange(len(indices)) % len(LABELS)
    classifier.zero_grad()
    twin.zero_grad()
    functional.cross_entropy(classifier(pack(TEXTS, np.array(indices))), labels).backward()
    functional.cross_entropy(padded_with_gradient(twin, TEXTS, indices), labels).backward()
    packed, padded = gradients(classifier.model), gradients(twin)
    transposed = {f"{module}.weight" for module in conv1d_names(classifier.model)}
    whole = torch.cat([gradient.flatten() for gradient in padded.values()]).norm()
    assert packed.keys() == padded.keys()
    for parameter, wanted in padded.items():
        found = packed[parameter].T if parameter in transposed else packed[parameter]
        # The gradient of a key's bias is only rounding, since it cancels in the softmax: hence the second term.
        assert (found - wanted).norm() <= 1e-4 * wanted.norm() + 1e-6 * whole, parameter


def padded_with_gradient(twin: Any, texts: TokenizedTexts, indices: list[int]) -> torch.Tensor:
    rows = [torch.from_numpy(texts[index].astype(np.int64)) for index in indices]
    ids_BL = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=int(twin.config.pad_token_id))
    mask_BL = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    logits: torch.Tensor = twin(input_ids=ids_BL, attention_mask=mask_BL).logits
    return logits


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
