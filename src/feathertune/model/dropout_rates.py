"""The dropout rates of a whole model: setting them, and checking whether there are any."""

from __future__ import annotations

from typing import TypeGuard

from torch import nn

from feathertune.kernels.dropout import Dropout


def set_dropouts(model: nn.Module, rate: float) -> None:
    """Set the rate of every dropout of the model, including attention dropout, in place.

    For a rate of 0, transformers may have used an `nn.Identity` instead, named like the dropout.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Dropout):
            module.p = rate
        elif isinstance(module, nn.Identity) and "drop" in name.rpartition(".")[2]:
            model.set_submodule(name, Dropout(rate).train(module.training))
        elif _is_rate(getattr(module, "attention_dropout", None)):
            module.attention_dropout = rate


def has_dropout(model: nn.Module) -> bool:
    """Whether the model, including its LoRA layers, uses dropout in training."""
    names = ("p", "dropout", "attention_dropout")
    rates = (getattr(module, name, None) for module in model.modules() for name in names)
    return any(_is_rate(rate) and rate > 0 for rate in rates)


def _is_rate(value: object) -> TypeGuard[float]:
    """Whether it is a number; a config's JSON may have 0 for 0.0."""
    return isinstance(value, int | float) and not isinstance(value, bool)
