"""Weight decay, and the learning-rate schedules compared with transformers'."""

import math

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from feathertune.training.optimizer import (
    Plateau,
    build_optimizer,
    schedule_factor,
    set_learning_rate,
)
from short_training import lora_classifier
from tiny import tiny_classifier

THEIRS = {"linear": get_linear_schedule_with_warmup, "cosine": get_cosine_schedule_with_warmup}


def theirs(kind: str, total_steps: int, warmup_steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = THEIRS[kind](optimizer, warmup_steps, total_steps)
    factors = []
    for _ in range(total_steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize(("total_steps", "warmup_steps"), [(10, 0), (100, 6), (7, 6), (1, 0), (5, 1)])
def test_decay_is_transformers_own(kind: str, total_steps: int, warmup_steps: int) -> None:
    ours = [schedule_factor(kind, step, total_steps, warmup_steps) for step in range(total_steps)]
    assert ours[warmup_steps:] == pytest.approx(theirs(kind, total_steps, warmup_steps)[warmup_steps:], abs=1e-12)
    assert ours[-1] > 0, "the last step still learns"


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_warm_up_has_no_lost_first_step(kind: str) -> None:
    """transformers' warm-up starts with a step at rate 0; ours is the same without that step."""
    ours = [schedule_factor(kind, step, 50, 9) for step in range(9)]
    assert ours == pytest.approx(theirs(kind, 51, 10)[1:10])
    assert ours == pytest.approx([step / 10 for step in range(1, 10)])


@pytest.mark.parametrize("kind", ["constant", "plateau"])
def test_constant_and_plateau_warm_up_and_stay(kind: str) -> None:
    assert [schedule_factor(kind, step, 5, 1) for step in range(5)] == [0.5, 1.0, 1.0, 1.0, 1.0]


def test_biases_and_norms_are_not_decayed() -> None:
    classifier = tiny_classifier("bert")
    optimizer = build_optimizer(classifier, learning_rate=1e-3, head_learning_rate=None, weight_decay=0.1)
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in classifier.model.named_parameters():
        assert (id(parameter) in decayed) == (not name.endswith("bias") and "LayerNorm" not in name), name


def test_decay_shrinks_weights_and_leaves_biases() -> None:
    classifier = tiny_classifier("bert")
    optimizer = build_optimizer(classifier, learning_rate=0.5, head_learning_rate=None, weight_decay=0.1)
    head = classifier.model.classifier
    with torch.no_grad():
        head.bias.fill_(1.0)
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    for parameter in classifier.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(head.weight.detach(), weight * (1 - 0.5 * 0.1))
    assert torch.equal(head.bias, bias)


def test_frozen_weights_are_not_optimized() -> None:
    classifier = lora_classifier()
    optimizer = build_optimizer(classifier, learning_rate=1e-3, head_learning_rate=None, weight_decay=0.1)
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in classifier.parameters() if parameter.requires_grad}


def test_the_head_may_have_its_own_rate() -> None:
    classifier = lora_classifier()
    optimizer = build_optimizer(classifier, learning_rate=1e-3, head_learning_rate=1e-1, weight_decay=0.01)
    assert set_learning_rate(optimizer, 0.5) == 0.5e-3  # the rate of the first group, which is not the head's
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in classifier.model.named_parameters():
        if parameter.requires_grad:
            assert rates[id(parameter)] == pytest.approx(0.5e-1 if name.startswith("classifier.") else 0.5e-3), name


def test_the_rate_is_halved_on_a_plateau_and_only_there() -> None:
    plateau, factors = Plateau(), []
    assert plateau.best_loss == math.inf
    for loss in (1.0, 0.9, 0.95, 0.9, 0.91, 0.8, 0.85, 0.7, 0.7, 0.7):
        plateau = plateau.after(loss)
        factors.append(plateau.factor)
    #             better  bad, bad   bad better bad better bad, bad
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert plateau.best_loss == 0.7


def test_it_is_adamw_as_in_the_paper() -> None:
    """Compared with algorithm 2 of Loshchilov & Hutter, in float64."""
    classifier = lora_classifier("gpt2", seed=0)
    optimizer = build_optimizer(classifier, learning_rate=1e-2, head_learning_rate=None, weight_decay=0.1)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    decays = [group["weight_decay"] for group in optimizer.param_groups for _ in group["params"]]
    values = [p.detach().double() for p in parameters]
    first, second = ([torch.zeros_like(value) for value in values] for _ in range(2))
    for step in range(1, 6):
        torch.manual_seed(step)
        for index, p in enumerate(parameters):
            p.grad = torch.randn_like(p)
            gradient = p.grad.double()
            first[index] = 0.9 * first[index] + 0.1 * gradient
            second[index] = 0.999 * second[index] + 0.001 * gradient**2
            direction = first[index] / (1 - 0.9**step) / ((second[index] / (1 - 0.999**step)).sqrt() + 1e-8)
            values[index] = values[index] * (1 - 1e-2 * decays[index]) - 1e-2 * direction
        optimizer.step()
    for p, value in zip(parameters, values, strict=True):
        torch.testing.assert_close(p.detach().double(), value, rtol=0, atol=1e-5)
