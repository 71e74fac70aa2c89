"""Fake quantization: outputs are those of the integer layer, gradients those of a layer without rounding."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from feathertune.model.adapt import merge, merged
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.quantization import numerics
from feathertune.quantization.convert import convert, fake_quantize
from feathertune.quantization.fake import FakeQuantizedLinear
from feathertune.quantization.numerics import Activations
from feathertune.quantization.scheme import Scheme, plan_quantization
from lively import adapt, lively_classifier, packed_logits
from tiny import FAMILIES, random_texts


def adapted(inputs: int = 64) -> AdaptedLinear:
    torch.manual_seed(0)
    module = AdaptedLinear(nn.Linear(inputs, 24), rank=4, scaling=2.5, dropout=0.5)
    nn.init.normal_(module.lora_B)
    return module


def rounded(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`target` with the gradient of `value`: the straight-through estimator in autograd."""
    return value + (target - value).detach()


def dequantized(weight_OI: torch.Tensor, bits: int) -> torch.Tensor:
    if bits == 4:
        return numerics.dequantize_int4(*numerics.quantize_int4(weight_OI.detach()))
    q_OI, scale_O = numerics.quantize_int8(weight_OI.detach())
    return q_OI.float() * scale_O[:, None]


def plainly(module: AdaptedLinear, x: torch.Tensor, bits: int, activations: Activations) -> torch.Tensor:
    """The layer written in plain autograd, which computes the gradient of the merged weight."""
    rows = numerics.quantize_rows(x.detach(), activations)
    zero_T1 = 0 if rows.zero_T1 is None else rows.zero_T1
    x_TI = rounded(x, (rows.q_TI.float() - zero_T1) * rows.scale_T1)
    weight_OI = module.weight + module.scaling * module.lora_B @ module.lora_A
    return functional.linear(x_TI, rounded(weight_OI, dequantized(weight_OI, bits)), module.bias)


@pytest.mark.parametrize("inputs", [64, 70])
@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("bits", [8, 4])
def test_gradients_are_straight_through(bits: Any, activations: Activations, inputs: int) -> None:
    module = adapted(inputs)
    fake = FakeQuantizedLinear(copy.deepcopy(module), bits, torch.float32, activations)
    x = torch.randn(3, 5, inputs)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    output, wanted = fake(ours), plainly(module, theirs.reshape(15, -1), bits, activations).view(3, 5, -1)
    torch.testing.assert_close(output, wanted, rtol=0, atol=2e-5)
    weights = torch.randn(output.shape)
    (output * weights).sum().backward()
    (wanted * weights).sum().backward()
    for one, two in ((ours, theirs), (fake.lora_A, module.lora_A), (fake.lora_B, module.lora_B)):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_head_is_trained_in_full(bits: Any) -> None:
    torch.manual_seed(0)
    head = nn.Linear(64, 3)
    fake = FakeQuantizedLinear(copy.deepcopy(head), bits, torch.float32)
    x, weights = torch.randn(7, 64), torch.randn(7, 3)
    rows = numerics.quantize_rows(x)
    x_TI = (rows.q_TI.float() - rows.zero_T1) * rows.scale_T1
    wanted = functional.linear(x_TI, rounded(head.weight, dequantized(head.weight, bits)), head.bias)
    (fake(x) * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(fake.weight.grad, head.weight.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fake.bias.grad, head.bias.grad, rtol=1e-4, atol=1e-5)


def test_a_frozen_layer_frees_its_float_weight() -> None:
    fake = FakeQuantizedLinear(nn.Linear(64, 32).requires_grad_(False), 8, torch.float32)
    assert [name for name, _ in fake.named_parameters()] == ["bias"]
    x = torch.randn(2, 64, requires_grad=True)
    fake(x).sum().backward()
    assert x.grad is not None


def test_bfloat16_products_use_the_same_integers() -> None:
    module = adapted()
    exact, fast = (FakeQuantizedLinear(copy.deepcopy(module), 8, dtype) for dtype in (torch.float32, torch.bfloat16))
    x = torch.randn(6, 64)
    assert torch.equal(exact(x).bfloat16(), fast(x)), "int8 products are of integers whatever the precision"
    exact(x).sum().backward()
    fast(x).float().sum().backward()
    torch.testing.assert_close(fast.lora_A.grad, exact.lora_A.grad, rtol=0.05, atol=0.05)


def test_a_rounded_weight_is_refused() -> None:
    module = adapted()
    module.set_compute_dtype(torch.bfloat16)
    with pytest.raises(TypeError, match="float32"):
        FakeQuantizedLinear(module, 8, torch.float32)


@pytest.mark.parametrize("activations", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("name", FAMILIES)
def test_fake_merged_and_converted_models_have_equal_logits(name: str, weights: Any, activations: Activations) -> None:
    """The fake-quantized model, its integers, and the merged and quantized float model: equal logits, bit for bit."""
    fake = lively_classifier(name)
    adapt(fake, "all-linear")
    plan = plan_quantization(fake, Scheme(weights, activations=activations))
    converted, texts = copy.deepcopy(fake), random_texts(list(range(2, 24)))
    float_BC = packed_logits(fake, texts)
    fake_quantize(fake, plan, "fp32")
    convert(converted, plan)
    fake_BC = packed_logits(fake, texts)
    with merged(fake):
        assert torch.equal(packed_logits(fake, texts), fake_BC)
    assert torch.equal(packed_logits(fake, texts), fake_BC), "`merged` puts the fake-quantized layers back"
    assert torch.equal(packed_logits(converted, texts), fake_BC)
    assert float((fake_BC - float_BC).abs().median()) > 1e-4, "it is quantized"
    assert torch.corrcoef(torch.stack([fake_BC.flatten(), float_BC.flatten()]))[0, 1] > 0.7


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_ties_move_few_texts_and_those_visibly(name: str) -> None:
    """A change of 1e-7 before quantization leaves most logits unchanged, and moves some by a step."""
    texts = random_texts(list(np.random.default_rng(0).integers(2, 20, 300)))
    one = lively_classifier(name)
    convert(one, plan_quantization(one, Scheme("int8")))
    other = copy.deepcopy(one)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + 2e-7)  # norms: about one unit in the last place
    first_BC, second_BC = packed_logits(one, texts), packed_logits(other, texts)
    moved_B = (first_BC - second_BC).abs().amax(1)
    assert float(moved_B.median()) < 1e-5
    assert float((first_BC.argmax(1) == second_BC.argmax(1)).float().mean()) > 0.98


def test_merging_a_fake_quantized_model_leaves_integers() -> None:
    classifier = lively_classifier("bert")
    adapt(classifier)
    fake_quantize(classifier, plan_quantization(classifier, Scheme("int4")), "fp32")
    merge(classifier)
    assert not any(isinstance(m, (FakeQuantizedLinear, nn.Linear)) for m in classifier.model.modules())
