"""Dropout has the right rate and scale, drops independently, repeats with its seed, and has the right gradient."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import nn

from feathertune.kernels.dropout import (
    Dropout,
    ReplayDropout,
    dropout,
    seed_dropout,
)
from feathertune.model.dropout_rates import has_dropout, set_dropouts
from feathertune.model.substitution import replace_dropouts
from lively import lively_classifier
from tiny import FAMILIES, tiny_classifier, tiny_config


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_rate_and_scale(rate: float) -> None:
    seed_dropout(0)
    out = dropout(torch.ones(400, 1000), rate)
    dropped = int((out == 0).sum())
    assert stats.binomtest(dropped, out.numel(), rate).pvalue > 1e-3
    assert out[out != 0].unique().item() == pytest.approx(1 / (1 - rate), rel=1e-4)
    assert out.mean().item() == pytest.approx(1, abs=0.02)


def test_neighbours_are_dropped_independently() -> None:
    seed_dropout(1)
    mask = dropout(torch.ones(1_000_000), 0.5) != 0
    for distance in (1, 2, 3, 4, 8):
        together = int((mask[:-distance] & mask[distance:]).sum())
        assert stats.binomtest(together, len(mask) - distance, 0.25).pvalue > 1e-3


def test_the_seed_determines_the_masks() -> None:
    x = torch.ones(37, 11)
    seed_dropout(2)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    seed_dropout(2)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


def test_the_gradient_has_the_same_mask() -> None:
    x = torch.rand(64, 33, requires_grad=True)
    out = dropout(x, 0.3)
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), out.detach())


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 7), (0, 4)])
def test_any_shape_and_stride(shape: tuple[int, ...]) -> None:
    assert dropout(torch.ones(shape), 0.5).shape == shape
    assert dropout(torch.ones(6, 4).T, 0.5).shape == (4, 6)


def test_nothing_happens_at_rate_zero_or_in_evaluation() -> None:
    x = torch.rand(5)
    assert dropout(x, 0.0) is x
    assert Dropout(0.5).eval()(x) is x
    assert not dropout(torch.ones(100), 1.0).any()


def test_every_dropout_of_a_model_is_replaced_and_keeps_rate_and_mode() -> None:
    model = nn.Sequential(nn.Dropout(0.25), nn.Linear(2, 2)).eval()
    replace_dropouts(model)
    assert isinstance(model[0], Dropout)
    assert model[0].p == 0.25
    assert not model[0].training
    assert not any(type(module) is nn.Dropout for module in tiny_classifier("bert").modules())


def test_masks_can_be_replayed_without_disturbing_later_ones() -> None:
    x = torch.ones(300, 1000)  # more than a block of random bits, so that new ones are drawn on the way
    seed_dropout(2)
    plain = [dropout(x, 0.5) for _ in range(8)]
    seed_dropout(2)
    first, replay = dropout(x, 0.5), ReplayDropout()
    later = [dropout(x, 0.5) for _ in range(6)]
    for _ in range(2):
        with replay:
            assert all(torch.equal(dropout(x, 0.5), mask) for mask in later)
    assert all(map(torch.equal, [first, *later, dropout(x, 0.5)], plain))


def with_rates(name: str, rate: float) -> nn.Module:
    """A model whose config has this rate wherever it has one."""
    config = tiny_config(name).to_dict()
    rates = [key for key, value in config.items() if "drop" in key and isinstance(value, int | float)]
    return lively_classifier(name, **dict.fromkeys(rates, rate)).model


def sites(model: nn.Module) -> dict[str, float]:
    """Name -> rate, of every dropout module and of every attention layer that has a rate of its own."""
    dropouts = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    attentions = {name: getattr(module, "attention_dropout", None) for name, module in model.named_modules()}
    return dropouts | {name: rate for name, rate in attentions.items() if isinstance(rate, int | float)}


@pytest.mark.parametrize("without", [0, 0.0], ids=["an integer", "a float"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_rate_that_is_set_is_as_if_the_config_had_it(name: str, without: float) -> None:
    """Everywhere, whatever the config's rate: JSON's 0 is an integer, and for 0 transformers leaves modules out."""
    wanted = sites(with_rates(name, 0.3))
    if name == "nomic-bert":
        without = 0.0  # transformers refuses the integer
    for model in (with_rates(name, without), with_rates(name, 0.1)):
        set_dropouts(model, 0.3)
        assert has_dropout(model)
        assert sites(model) == wanted
        assert set(wanted.values()) == {0.3}
        set_dropouts(model, 0)
        assert not has_dropout(model)


def test_a_dropout_that_was_left_out_drops_in_training_alone() -> None:
    model = with_rates("modernbert", 0.0)
    set_dropouts(model, 0.5)
    put_in, x = model.get_submodule("model.layers.1.attn.out_drop"), torch.ones(1000)
    assert torch.equal(put_in(x), x)
    seed_dropout(0)
    assert 0 < int((put_in.train()(x) == 0).sum()) < 1000
    assert isinstance(model.get_submodule("model.layers.0.attn_norm"), nn.Identity), "which is no dropout"
