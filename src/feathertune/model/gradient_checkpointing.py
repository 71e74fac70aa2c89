"""Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): less memory for more time, with bit-identical results.

A repeated layer saves only its input and is recomputed during the backward pass. The last layer saves everything: the
backward pass starts with it, so recomputing it would save nothing.

transformers' own `activation_checkpointing_enable` would work with `packing` too, but it recomputes the last layer,
needs a gradient of the embeddings' output that is never used, and does not replay our dropout's random bits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from feathertune.kernels.dropout import ReplayDropout
from feathertune.kernels.pooled_rows import repeated_layers
from feathertune.model.classifier import PackedClassifier


def enable_gradient_checkpointing(classifier: PackedClassifier) -> None:
    """Make every repeated layer except the last recompute its activations in the backward pass, in place."""
    for layer in repeated_layers(classifier.model.base_model, classifier.model.config.num_hidden_layers)[:-1]:
        layer.forward = partial(_recomputed, layer.forward)


def _recomputed(forward: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """`forward`, checkpointed. Both runs have equal dropout masks: torch restores its random state, we replay ours."""
    if not torch.is_grad_enabled():
        return forward(*arguments, **options)
    # The tensors are passed as arguments so that torch sees their device and restores its random state too.
    return checkpoint(_call, forward, arguments, options, use_reentrant=False, context_fn=_contexts)


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """The contexts of the first run and of the recomputation."""
    return nullcontext(), ReplayDropout()


def _call(forward: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return forward(*arguments, **options)
