"""A model as JSON-ready data: its architecture and every module with parameters."""

from __future__ import annotations

from typing import Any

from feathertune.model.adapt import count_parameters
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.classifier import PackedClassifier


def describe_model(classifier: PackedClassifier) -> dict[str, Any]:
    """The architecture, the parameter counts, and every module with parameters of its own, by full name."""
    modules = []
    for name, module in classifier.model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if own:
            modules.append(
                {
                    "name": name,
                    "type": type(module).__name__,
                    "shapes": {key: list(parameter.shape) for key, parameter in own.items()},
                    "parameters": sum(parameter.numel() for parameter in own.values()),
                    "trainable": sum(p.numel() for p in own.values() if p.requires_grad),
                    "adapted": isinstance(module, AdaptedLinear),
                }
            )
    count = count_parameters(classifier)
    return {
        "architecture": type(classifier.model).__name__,
        "model_type": classifier.model.config.model_type,
        "trainable_parameters": count.trainable,
        "total_parameters": count.total,
        "modules": modules,
    }
