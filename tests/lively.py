"""Tiny models with large random weights, biases and norms: logits are of order 1, so 1e-5 is a strict tolerance."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feathertune.model.adapt import LoraShape, add_lora, find_targets
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.base import build_random
from feathertune.model.classifier import PackedClassifier
from feathertune.tokens.batch import pack
from feathertune.tokens.tokenized import TokenizedTexts
from tiny import FAMILIES, tiny_config

LABELS = ("no", "yes", "maybe")


def lively_classifier(name: str, seed: int = 0, labels: tuple[str, ...] = LABELS, **changes: Any) -> PackedClassifier:
    """One of `tiny.FAMILIES`, its config changed by `changes`, made lively."""
    config = tiny_config(name)
    for key, value in changes.items():
        setattr(config, key, value)
    return enliven(build_random(config, labels, seed), seed)


def enliven(classifier: PackedClassifier, seed: int = 0) -> PackedClassifier:
    """Randomize every parameter: matrices preserve the size of their input; biases and norms are not at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = {id(m.weight) for m in classifier.modules() if isinstance(m, torch.nn.Embedding)}
    with torch.no_grad():
        for parameter in classifier.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.add_(0.3 * noise)
            elif id(parameter) in embeddings:
                parameter.copy_(noise)
            else:
                parameter.copy_(1.5 * noise / math.sqrt(parameter.shape[1]))
    return classifier


def adapt(classifier: PackedClassifier, targets: str | tuple[str, ...] = "attention", **changes: Any) -> LoraShape:
    """Add LoRA as if it had been trained: B is not zero, and the head has changed."""
    options = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "rslora": False, **changes}
    shape = LoraShape(names=find_targets(classifier, targets), **options)
    add_lora(classifier, shape, seed=0)
    move_trained(classifier.model)
    return shape


def move_trained(model: torch.nn.Module) -> None:
    """Change all trainable parameters, including LoRA's B and the head."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def packed_logits(classifier: PackedClassifier, texts: TokenizedTexts, indices: list[int] | None = None) -> Tensor:
    """[B, C]: the packed classifier's logits for the texts at `indices` (all by default)."""
    chosen = np.arange(len(texts)) if indices is None else np.array(indices)
    with torch.no_grad():
        logits: Tensor = classifier(pack(texts, chosen))
    return logits


def largest_difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def with_feature(name: str, **changes: Any) -> Callable[[], PackedClassifier]:
    return lambda: lively_classifier(name, **changes)


# Every family, and settings of a family that change attention or positions.
MODELS: dict[str, Callable[[], PackedClassifier]] = {
    **{name: with_feature(name) for name in FAMILIES},
    "gpt2-inverse-layer-scale": with_feature("gpt2", scale_attn_by_inverse_layer_idx=True),
    "gpt2-unscaled": with_feature("gpt2", scale_attn_weights=False),
    "llama-rope-linear": with_feature(
        "llama", rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
    ),
    "deberta-v2-conv": with_feature("deberta-v3", conv_kernel_size=3, conv_act="gelu"),  # as v2-xlarge
    "deberta-v2-own-projections": with_feature(
        "deberta-v3",
        share_att_key=False,
        position_buckets=-1,
        max_relative_positions=20,
        norm_rel_ebd="none",
        position_biased_input=True,
        type_vocab_size=2,
    ),
    "albert-groups": with_feature("albert", num_hidden_groups=2),  # the first is used twice, the second once
    "albert-inner": with_feature("albert", num_hidden_layers=2, inner_group_num=2),
    "eurobert-first": with_feature("eurobert", classifier_pooling="bos"),
    "eurobert-mean": with_feature("eurobert", classifier_pooling="mean"),
    "gemma3-bidirectional": with_feature("gemma3-window", use_bidirectional_attention=True),
}


def adapted_names(model: torch.nn.Module) -> tuple[str, ...]:
    """The names of the modules that have LoRA factors now."""
    return tuple(name for name, module in model.named_modules() if isinstance(module, AdaptedLinear))
