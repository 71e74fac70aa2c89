"""Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): memory for time, with the same result bit for bit.

A repeated layer keeps its input alone and is computed again when the backward pass comes to it. The last layer keeps
everything: the backward pass comes to it at once, so computing it again would save nothing.

transformers' own `activation_checkpointing_enable` hands `packing` on as well, but recomputes the last layer too, makes
the embeddings' output ask for a gradient that nobody uses, and knows nothing of our dropout's random bits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from feathertune.kernels.dropout import SameDropout
from feathertune.kernels.pooled_rows import repeated_layers
from feathertune.model.classifier import PackedClassifier


def enable_gradient_checkpointing(classifier: PackedClassifier) -> None:
    """Make every repeated layer but the last compute its activations again in the backward pass, in place."""
    for layer in repeated_layers(classifier.model.base_model, classifier.model.config.num_hidden_layers)[:-1]:
        layer.forward = partial(_recomputed, layer.forward)


def _recomputed(forward: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What `forward` gives. Dropout's masks are the same again: torch keeps its random state, and we ours."""
    if not torch.is_grad_enabled():
        return forward(*arguments, **options)
    # As arguments of its own, so that torch sees on which device these tensors are, and keeps its random state too.
    return checkpoint(_call, forward, arguments, options, use_reentrant=False, context_fn=_contexts)


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the first run and for the second."""
    return nullcontext(), SameDropout()


def _call(forward: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return forward(*arguments, **options)
