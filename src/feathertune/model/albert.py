"""ALBERT, whose layers share their weights (Lan et al. 2020, arXiv:1909.11942): its encoder with one entry per use."""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import Tensor

from feathertune.kernels.pooled_rows import SharedLayers


def unroll_albert(model: Any) -> None:
    """Give an ALBERT a list of its layers in the order they run in, in place, so that its last use can be trimmed.

    A layer is in the list as often as it is used. Parameters and their names are unchanged.
    """
    encoder, config = model.base_model.encoder, model.config
    each = config.num_hidden_layers / config.num_hidden_groups
    groups = [encoder.albert_layer_groups[int(index / each)] for index in range(config.num_hidden_layers)]
    encoder.uses = SharedLayers(layer for group in groups for layer in group.albert_layers)
    encoder.forward = MethodType(_encoder, encoder)


def _encoder(encoder: Any, hidden_1TE: Tensor, attention_mask: None = None, **options: Any) -> Any:
    """[1, T, E] embeddings -> [1, T, D]: what `AlbertTransformer.forward` computes."""
    from transformers.modeling_outputs import BaseModelOutput

    hidden_1TD = encoder.embedding_hidden_mapping_in(hidden_1TE)
    for layer in encoder.uses:
        hidden_1TD = layer(hidden_1TD, attention_mask, **options)
    return BaseModelOutput(last_hidden_state=hidden_1TD)
