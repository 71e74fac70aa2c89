"""In which numbers a model computes: true float32, or bfloat16 products with everything else in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from feathertune.kernels.fast_linear import FastLinear
from feathertune.kernels.matmul import has_bf16
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.classifier import PackedClassifier
from feathertune.system.processor import processor_flags

Precision = Literal["fp32", "bf16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class PrecisionChoice:
    """What is computed in, and a sentence that says why."""

    precision: Precision
    reason: str


def choose_precision(requested: Precision | Literal["auto"], device: torch.device) -> PrecisionChoice:
    """bf16 where it was asked for, or where nothing was and the device multiplies bfloat16 itself; else fp32."""
    native, name = _native_bf16(device)
    if requested == "fp32":
        return PrecisionChoice("fp32", "precision fp32, as the recipe says")
    if requested == "bf16":
        warning = "" if native else f"; {name} has no bf16 products of its own, so fp32 would be faster"
        return PrecisionChoice("bf16", f"precision bf16, as the recipe says{warning}")
    if native:
        return PrecisionChoice("bf16", f"precision bf16: {name} has it (auto)")
    return PrecisionChoice("fp32", f"precision fp32: {name} has no bf16 (auto)")


def set_precision(classifier: PackedClassifier, precision: Precision) -> None:
    """Make every linear of the model's layers compute in `precision`, in place; call it when method and device are set.

    Frozen weights are then held in that precision alone. Embeddings, norms, softmax, the head, the loss, LoRA's
    factors and the weights of a full fine-tune stay float32.
    """
    compute = DTYPES[precision]
    for name in layer_names(classifier.model):  # by name: a layer's float32 weight is gone before the next's turn
        module = classifier.model.get_submodule(name)
        if isinstance(module, AdaptedLinear):
            module.hold_in(compute)
        elif isinstance(module, nn.Linear):
            classifier.model.set_submodule(name, FastLinear.of(module, compute))


def layer_names(model: nn.Module) -> tuple[str, ...]:
    """The names of everything inside the model's repeated layers: all but embeddings, pooler and head."""
    stacks = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    return tuple(name for name, _ in model.named_modules() if name.startswith(stacks))


def _native_bf16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False), torch.cuda.get_device_name(device)
    flags = sorted(processor_flags() & {"avx512_bf16", "amx_bf16", "bf16"})
    return has_bf16(), f"this processor ({', '.join(flags)})" if flags else "this processor"
