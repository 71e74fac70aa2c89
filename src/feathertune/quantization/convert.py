"""From a float model to one that is trained with quantization in view, and to one of integers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from feathertune.errors import UserError
from feathertune.kernels.fast_linear import FastLinear
from feathertune.model.adapt import merge
from feathertune.model.classifier import PackedClassifier
from feathertune.model.precision import DTYPES, Precision, layer_names
from feathertune.quantization.fake import FakeQuantizedLinear
from feathertune.quantization.integer import IntegerEmbedding, IntegerLinear
from feathertune.quantization.scheme import Plan


def fake_quantize(classifier: PackedClassifier, plan: Plan, precision: Precision) -> None:
    """Turn the fake quantizers on, in place: the model is trained on as it was, and answers as its integers will.

    The model must be in float32: weights are quantized from it, and `precision` only says what products of the layers
    are computed in. What is excluded is computed in float32.
    """
    layers = layer_names(classifier.model)
    for name, bits in plan.all_linears.items():
        compute = DTYPES[precision] if name in layers else torch.float32
        linear: Any = classifier.model.get_submodule(name)
        classifier.model.set_submodule(name, FakeQuantizedLinear(linear, bits, compute, plan.activations))
    _quantize_embeddings(classifier, plan)
    for name in plan.excluded:
        linear = classifier.model.get_submodule(name)
        if isinstance(linear, nn.Linear):
            classifier.model.set_submodule(name, FastLinear.of(linear, torch.float32))


def convert(classifier: PackedClassifier, plan: Plan) -> None:
    """Make it an integer model, in place: merge once, in float32, and quantize what is not quantized yet."""
    merge(classifier)
    for name, bits in plan.all_linears.items():
        module = classifier.model.get_submodule(name)
        if isinstance(module, nn.Linear):
            if module.weight.dtype != torch.float32:
                raise TypeError("what is quantized is the float32 weight, not a rounded one")
            integer = IntegerLinear.of(module.weight, module.bias, bits, plan.activations)
            classifier.model.set_submodule(name, integer)
    _quantize_embeddings(classifier, plan)
    classifier.requires_grad_(False)
    classifier.eval()


def _quantize_embeddings(classifier: PackedClassifier, plan: Plan) -> None:
    for name in plan.embeddings:
        module = classifier.model.get_submodule(name)
        if isinstance(module, nn.Embedding):
            classifier.model.set_submodule(name, IntegerEmbedding.of(module.weight, _factor(name, module)))


def _factor(name: str, embedding: nn.Embedding) -> float:
    """What this embedding multiplies its rows by. Raises UserError for a kind that may do anything else."""
    if type(embedding) is nn.Embedding:
        return 1.0
    scale = getattr(embedding, "scalar_embed_scale", None)  # Gemma's
    if type(embedding).__name__.endswith("ScaledWordEmbedding") and scale is not None:
        return float(scale)
    raise UserError(
        f"{name} is a {type(embedding).__name__}, which is not an embedding that can be quantized",
        fix="Leave it in float32 with quantize.embeddings=fp32.",
    )
