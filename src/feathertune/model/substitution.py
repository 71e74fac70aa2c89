"""Replacing transformers' layers by faster ones with equal results."""

from __future__ import annotations

from typing import Any

from torch import nn

from feathertune.kernels.dropout import Dropout
from feathertune.kernels.gelu import TanhGELU


def substitute_layers(model: Any) -> None:
    """Replace everything that has a faster version here, in place."""
    convert_conv1d(model)
    replace_dropouts(model)
    replace_gelus(model)


def replace_dropouts(model: nn.Module) -> None:
    """Replace each `nn.Dropout` by a `Dropout`, in place."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, Dropout(module.p).train(module.training))


def replace_gelus(model: nn.Module) -> None:
    """Replace each of transformers' tanh GELUs by a `TanhGELU`, in place."""
    from transformers.activations import ACT2FN

    kinds = tuple(type(ACT2FN[name]) for name in ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"))
    for name, module in list(model.named_modules()):
        if isinstance(module, kinds):
            model.set_submodule(name, TanhGELU())


def convert_conv1d(model: nn.Module) -> list[str]:
    """Replace each of GPT-2's `Conv1D` (y = x W + b) by a `Linear` with the transposed weight, in place.

    Returns the names of the replaced modules: their weights are transposed back for files in transformers' format.
    """
    from transformers.pytorch_utils import Conv1D

    names = [name for name, module in model.named_modules() if isinstance(module, Conv1D)]
    for name in names:
        conv: Any = model.get_submodule(name)
        width, outputs = conv.weight.shape
        linear = nn.Linear(width, outputs, device="meta")
        linear.weight = nn.Parameter(conv.weight.detach().T.contiguous())
        linear.bias = conv.bias
        model.set_submodule(name, linear)
    if names:
        model.feathertune_conv1d = tuple(names)  # type: ignore[assignment]
    return names


def conv1d_names(model: nn.Module) -> tuple[str, ...]:
    """The names of the modules that are `Conv1D` in transformers' version of this model."""
    names: tuple[str, ...] = getattr(model, "feathertune_conv1d", ())
    return names
