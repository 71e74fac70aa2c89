"""Converting a float model for quantization-aware training (QAT), and to integers."""

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
    """Add fake quantization, in place. Trainable parameters stay so; the outputs become those of the integer model.

    The model must be in float32, because weights are quantized from float32. `precision` only sets the dtype of matrix
    products inside the repeated layers. Excluded layers are computed in float32.
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
            classifier.model.set_submodule(name, FastLinear.from_linear(linear, torch.float32))


def convert(classifier: PackedClassifier, plan: Plan) -> None:
    """Convert to an integer model, in place: merge in float32, then quantize everything that is not quantized yet."""
    merge(classifier)
    for name, bits in plan.all_linears.items():
        module = classifier.model.get_submodule(name)
        if isinstance(module, nn.Linear):
            if module.weight.dtype != torch.float32:
                raise TypeError("only float32 weights are quantized, not weights that were rounded before")
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
    """The factor that an embedding multiplies its rows by. Raises UserError for unknown kinds of embedding."""
    if type(embedding) is nn.Embedding:
        return 1.0
    scale = getattr(embedding, "scalar_embed_scale", None)  # Gemma's
    if type(embedding).__name__.endswith("ScaledWordEmbedding") and scale is not None:
        return float(scale)
    raise UserError(
        f"{name} is a {type(embedding).__name__}, a kind of embedding that cannot be quantized",
        fix="Keep it in float32 with quantize.embeddings=fp32.",
    )
