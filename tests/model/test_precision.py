"""Which precision is chosen and why, what stays in memory, and that every family trains and predicts in it."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from feathertune.kernels import matmul as product
from feathertune.kernels.fast_linear import FastLinear
from feathertune.model import precision as room
from feathertune.model.adapt import train_everything, trainable_state
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import head_parameters
from feathertune.model.precision import choose_precision, set_precision
from feathertune.prediction.inference import predict_logits
from feathertune.tokens.batch import pack
from feathertune.training.optimizer import build_optimizer
from lively import LABELS, adapt, lively_classifier, packed_logits
from tiny import FAMILIES, random_texts

CPU = torch.device("cpu")
TEXTS = random_texts([5, 1, 30, 9, 140])


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The cached properties of the processor are computed again, in the test and after it."""
    product.has_bf16.cache_clear()
    yield monkeypatch
    product.has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("flags", "requested", "wanted", "words"),
    [
        ({"avx2", "avx512_bf16"}, "auto", "bf16", "bf16, chosen because this processor (avx512_bf16) supports it"),
        ({"amx_bf16", "avx512_bf16"}, "auto", "bf16", "(amx_bf16, avx512_bf16) supports it"),
        ({"bf16", "asimd"}, "auto", "bf16", "this processor (bf16) supports it"),
        ({"avx2", "avx512f"}, "auto", "fp32", "precision fp32, chosen because this processor has no bf16"),
        (set(), "auto", "fp32", "chosen because this processor has no bf16"),
        ({"avx2"}, "bf16", "bf16", "has no bf16 instructions, so fp32 would be faster"),
        ({"avx512_bf16"}, "bf16", "bf16", "precision bf16, set by the recipe"),
        ({"avx512_bf16"}, "fp32", "fp32", "precision fp32, set by the recipe"),
    ],
)
def test_the_choice_and_its_reason(
    flags: set[str], requested: str, wanted: str, words: str, processor: pytest.MonkeyPatch
) -> None:
    for module in (room, product):
        processor.setattr(module, "processor_flags", lambda: frozenset(flags))
    processor.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    choice = choose_precision(requested, CPU)  # type: ignore[arg-type]
    assert choice.precision == wanted
    assert words in choice.reason


@pytest.mark.parametrize(("native", "wanted"), [(True, "bf16"), (False, "fp32")])
def test_bf16_support_of_a_gpu(native: bool, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T1000")
    choice = choose_precision("auto", torch.device("cuda", 0))
    assert choice.precision == wanted
    assert "NVIDIA T1000" in choice.reason


@pytest.mark.parametrize("requested", ["auto", "fp32", "bf16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_trains_a_step_and_predicts(name: str, requested: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier, "all-linear", dropout=0.1)
    set_precision(classifier, choose_precision(requested, CPU).precision)  # type: ignore[arg-type]
    optimizer = build_optimizer(classifier, learning_rate=1e-2, head_learning_rate=None, weight_decay=0.0)
    before = {key: p.detach().clone() for key, p in trainable_state(classifier).items()}
    logits_NC = predict_logits(classifier, TEXTS)
    logits = classifier.train()(pack(TEXTS, np.arange(len(TEXTS)), multiple=8))
    torch.nn.functional.cross_entropy(logits, torch.arange(len(TEXTS)) % len(LABELS)).backward()
    optimizer.step()
    assert not any(torch.equal(p, before[key]) for key, p in trainable_state(classifier).items())
    again = predict_logits(classifier, TEXTS)
    assert np.isfinite(again).all()
    assert again.dtype == np.float32
    assert np.abs(again - logits_NC).max() > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_logits_are_close_and_float32_ones_equal(name: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier, "all-linear")
    exact = packed_logits(classifier, TEXTS)
    set_precision(classifier, "fp32")
    torch.testing.assert_close(packed_logits(classifier, TEXTS), exact, rtol=1e-5, atol=1e-5)
    set_precision(classifier, "bf16")
    rounded = packed_logits(classifier, TEXTS)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).abs().max() < 0.1 * exact.abs().max()


def frozen_linears(classifier: PackedClassifier) -> dict[str, torch.Tensor]:
    """The frozen weights of linear layers inside the repeated layers, before `set_precision`."""
    return {
        name: module.weight
        for name, module in classifier.model.named_modules()
        if hasattr(module, "weight") and module.weight.ndim == 2 and not module.weight.requires_grad
        if not isinstance(module, nn.Embedding) and ".pooler" not in name
        if "embeddings_project" not in name and "embedding_hidden_mapping_in" not in name
    }


@pytest.mark.parametrize("targets", ["attention", "all-linear"])
@pytest.mark.parametrize("name", FAMILIES)
def test_in_bfloat16_no_float32_copy_of_a_frozen_linear_is_left(name: str, targets: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier, targets)
    weights = frozen_linears(classifier)
    size = sum(weight.numel() for weight in weights.values())
    before = bytes_of(classifier)
    modules = [classifier.model.get_submodule(key) for key in weights]
    wholes = [module._extended_OE for module in modules if isinstance(module, AdaptedLinear)]  # W is a part of each
    alive = [weakref.ref(tensor) for tensor in (*weights.values(), *wholes)]
    assert len(alive) >= 4
    del wholes, modules
    del weights
    set_precision(classifier, "bf16")
    gc.collect()
    assert not any(reference() is not None for reference in alive)
    biases = 2 * sum(
        m.bias.numel()
        for m in classifier.model.modules()
        if getattr(m, "bias", None) is not None and m.bias.dtype == torch.bfloat16
    )
    assert before - bytes_of(classifier) == 2 * size + biases
    predict_logits(classifier, TEXTS)  # merges temporarily, and must not leave merged weights behind
    gc.collect()
    assert before - bytes_of(classifier) == 2 * size + biases


def bytes_of(classifier: PackedClassifier) -> int:
    return sum(p.nbytes for p in classifier.parameters())


@pytest.mark.parametrize("targets", ["attention", "all-linear"])
def test_layers_become_bfloat16_one_by_one(targets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a layer is converted, the float32 weights of earlier layers are already freed."""
    classifier = lively_classifier("gpt2", n_layer=6)
    adapt(classifier, targets)
    alive = [weakref.ref(weight) for weight in frozen_linears(classifier).values()]
    left: list[int] = []

    def noting(convert: Any) -> Any:
        def noted(*arguments: Any) -> Any:
            left.append(sum(reference() is not None for reference in alive))
            return convert(*arguments)

        return noted

    monkeypatch.setattr(AdaptedLinear, "set_compute_dtype", noting(AdaptedLinear.set_compute_dtype))
    monkeypatch.setattr(FastLinear, "from_linear", noting(FastLinear.from_linear))
    set_precision(classifier, "bf16")
    assert left == list(range(len(alive), 0, -1))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_full_fine_tune_keeps_float32_weights_and_learns_less_than_bfloat16_can_hold(name: str) -> None:
    classifier = lively_classifier(name)
    train_everything(classifier)
    set_precision(classifier, "bf16")
    assert {p.dtype for p in classifier.parameters()} == {torch.float32}
    linears = {key: m.weight for key, m in classifier.model.named_modules() if isinstance(m, FastLinear)}
    assert len(linears) >= 6
    before = {key: weight.detach().clone() for key, weight in linears.items()}
    optimizer = build_optimizer(classifier, learning_rate=1e-5, head_learning_rate=None, weight_decay=0.0)
    logits = classifier(pack(TEXTS, np.arange(len(TEXTS)), multiple=8))
    torch.nn.functional.cross_entropy(logits, torch.arange(len(TEXTS)) % len(LABELS)).backward()
    optimizer.step()
    for key, weight in linears.items():
        moved = (weight - before[key]).abs()
        assert moved.max() > 0, key
        # A step of 1e-5 is far below bfloat16's spacing at most weights: a bfloat16 copy would not have moved.
        assert (weight.bfloat16() == before[key].bfloat16()).float().mean() > 0.9, key


@pytest.mark.parametrize("name", FAMILIES)
def test_embeddings_norms_and_head_stay_float32(name: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier, "all-linear")
    set_precision(classifier, "bf16")
    float32 = {key for key, p in classifier.model.named_parameters() if p.dtype == torch.float32}
    assert set(head_parameters(classifier.model, classifier.family)) <= float32
    assert set(trainable_state(classifier)) <= float32
    assert all(
        p.dtype == torch.float32
        for key, p in classifier.model.named_parameters()
        if p.ndim == 1 and "norm" in key.lower()
    )
