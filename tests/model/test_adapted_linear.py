import numpy as np
import pytest
import torch
from torch import nn

from feathertune.kernels.dropout import dropout as drop
from feathertune.kernels.dropout import seed_dropout
from feathertune.model.adapt import merge
from feathertune.model.adapted_linear import AdaptedLinear
from lively import adapt, adapted_names, largest_difference, lively_classifier, packed_logits
from tiny import FAMILIES, random_texts


def adapted(bias: bool = True, dropout: float = 0.0) -> AdaptedLinear:
    torch.manual_seed(0)
    module = AdaptedLinear(nn.Linear(16, 24, bias=bias), rank=4, scaling=2.5, dropout=dropout)
    nn.init.normal_(module.lora_B)
    return module


@pytest.mark.parametrize("bias", [True, False])
def test_it_computes_w_x_plus_s_b_a_x(bias: bool) -> None:
    module, x = adapted(bias), torch.randn(5, 16)
    w, a, b = (p.detach().double().numpy() for p in (module.weight, module.lora_A, module.lora_B))
    merged = w + 2.5 * (b @ a)
    wanted = x.double().numpy() @ merged.T + (module.bias.detach().double().numpy() if module.bias is not None else 0)
    np.testing.assert_allclose(module(x).detach().numpy(), wanted, rtol=0, atol=2e-5)
    np.testing.assert_allclose(module.merged().weight.detach().numpy(), merged, rtol=0, atol=2e-6)
    np.testing.assert_allclose(module.merged()(x).detach().numpy(), wanted, rtol=0, atol=2e-5)


def test_at_first_it_is_the_layer_it_replaces() -> None:
    linear, x = nn.Linear(16, 24), torch.randn(5, 16)
    torch.testing.assert_close(AdaptedLinear(linear, 4, 2.0, 0.5)(x), linear(x), rtol=0, atol=1e-6)


def test_only_the_factors_are_trained() -> None:
    module = adapted()
    assert [name for name, p in module.named_parameters() if p.requires_grad] == ["lora_A", "lora_B"]
    module(torch.randn(3, 16)).sum().backward()
    assert module.weight.grad is None
    assert module.lora_A.grad is not None
    assert module.lora_B.grad is not None


def test_dropout_touches_the_update_alone_and_only_in_training() -> None:
    module, x = adapted(dropout=0.5), torch.randn(5, 16)
    frozen = nn.functional.linear(x, module.weight, module.bias)
    assert torch.equal(module.eval()(x), module(x))
    module.train()
    assert not torch.equal(module(x), module(x))
    nn.init.zeros_(module.lora_B)
    assert torch.equal(module(x), frozen)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(7, 16), (1, 7, 16), (2, 3, 16)])
def test_its_gradients_are_those_of_the_plain_formula(bias: bool, dropout: float, shape: tuple[int, ...]) -> None:
    module, x = adapted(bias, dropout).train(), torch.randn(*shape, requires_grad=True)
    seed_dropout(1)
    y = module(x)
    weights = torch.randn_like(y)
    found = torch.autograd.grad((y * weights).sum(), (x, module.lora_A, module.lora_B))
    seed_dropout(1)
    dropped = drop(x, dropout)
    plain = nn.functional.linear(x, module.weight, module.bias)
    plain = plain + 2.5 * nn.functional.linear(nn.functional.linear(dropped, module.lora_A), module.lora_B)
    torch.testing.assert_close(y, plain, rtol=1e-5, atol=1e-5)
    wanted = torch.autograd.grad((plain * weights).sum(), (x, module.lora_A, module.lora_B))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_its_gradients_pass_the_numerical_check_in_float64() -> None:
    module, x = adapted(bias=True).double(), torch.randn(3, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
    for factor in (module.lora_A, module.lora_B):
        name = "lora_A" if factor is module.lora_A else "lora_B"

        def with_factor(value: torch.Tensor, name: str = name) -> torch.Tensor:
            return torch.func.functional_call(module, {name: value}, (x,))

        assert torch.autograd.gradcheck(with_factor, (factor.detach().clone().requires_grad_(),))


def test_it_prints_its_shape() -> None:
    assert "in=16, out=24, rank=4, scaling=2.5" in repr(adapted())


@pytest.mark.parametrize("targets", ["attention", "all-linear"])
@pytest.mark.parametrize("name", FAMILIES)
def test_merging_keeps_the_logits(name: str, targets: str) -> None:
    classifier, texts = lively_classifier(name), random_texts([5, 1, 20])
    base = packed_logits(classifier, texts)
    adapt(classifier, targets, dropout=0.3)
    before = packed_logits(classifier, texts)
    merge(classifier)
    assert adapted_names(classifier.model) == ()
    assert largest_difference(before, packed_logits(classifier, texts)) < 1e-5
    assert largest_difference(before, base) > 1e-2


def test_a_second_merge_changes_nothing() -> None:
    classifier = lively_classifier("bert")
    adapt(classifier)
    merge(classifier)
    once = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    merge(classifier)
    twice = classifier.state_dict()
    assert once.keys() == twice.keys()
    assert all(torch.equal(tensor, twice[name]) for name, tensor in once.items())


def test_a_merged_layer_keeps_the_dtype_of_its_base_and_adds_in_float32() -> None:
    module = adapted()
    exact = module.merged().weight
    module.weight.data = module.weight.data.bfloat16()
    merged = module.merged().weight
    assert merged.dtype == torch.bfloat16
    torch.testing.assert_close(merged.float(), exact, rtol=2**-7, atol=2**-7)
