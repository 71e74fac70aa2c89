"""The precision a model computes in: float32, or bfloat16 matrix products with everything else in float32."""

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
    """The precision, and a sentence that gives the reason."""

    precision: Precision
    reason: str


def choose_precision(requested: Precision | Literal["auto"], device: torch.device) -> PrecisionChoice:
    """The requested precision; for `auto`, bf16 if the device has bfloat16 matrix instructions, else fp32."""
    native, name = _native_bf16(device)
    if requested == "fp32":
        return PrecisionChoice("fp32", "precision fp32, set by the recipe")
    if requested == "bf16":
        warning = "" if native else f"; {name} has no bf16 instructions, so fp32 would be faster"
        return PrecisionChoice("bf16", f"precision bf16, set by the recipe{warning}")
    if native:
        return PrecisionChoice("bf16", f"precision bf16, chosen because {name} supports it")
    return PrecisionChoice("fp32", f"precision fp32, chosen because {name} has no bf16")


def set_precision(classifier: PackedClassifier, precision: Precision) -> None:
    """Make every linear layer inside the repeated layers compute in `precision`, in place.

    Call it once the method is applied and the model is on its device. Frozen weights are then stored in that precision
    only. Embeddings, norms, softmax, the head, the loss, LoRA factors and the weights of a full fine-tune stay float32.
    """
    compute = DTYPES[precision]
    for name in layer_names(classifier.model):  # by name: each float32 weight is freed before the next is converted
        module = classifier.model.get_submodule(name)
        if isinstance(module, AdaptedLinear):
            module.set_compute_dtype(compute)
        elif isinstance(module, nn.Linear):
            classifier.model.set_submodule(name, FastLinear.from_linear(module, compute))


def layer_names(model: nn.Module) -> tuple[str, ...]:
    """The names of all modules inside the repeated layers, i.e. all but embeddings, pooler and head."""
    stacks = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    return tuple(name for name, _ in model.named_modules() if name.startswith(stacks))


def _native_bf16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False), torch.cuda.get_device_name(device)
    flags = sorted(processor_flags() & {"avx512_bf16", "amx_bf16", "bf16"})
    return has_bf16(), f"this processor ({', '.join(flags)})" if flags else "this processor"
