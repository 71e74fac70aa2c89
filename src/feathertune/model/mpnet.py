"""MPNet (Song et al. 2020, arXiv:2004.09297) with packed attention.

transformers' MPNet computes attention itself, adds a bias per relative position that all layers share, and does not
pass keyword arguments on. So its forward methods are replaced; modules, parameters and their names stay.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor

from feathertune.kernels.relative_bias import RelativeBias
from feathertune.tokens.batch import Packing

_REACH = 128  # the distance from which on transformers uses one bucket


def pack_mpnet(model: Any) -> None:
    """Make the layers of an MPNet call the attention function of its config, in place."""
    base, encoder = model.base_model, model.base_model.encoder
    # By transformers' own function, once: in another runtime its logarithm may round to another bucket.
    buckets_N = encoder.relative_position_bucket(torch.arange(-_REACH, _REACH + 1))
    encoder.register_buffer("buckets_N", buckets_N, persistent=False)
    base.forward = MethodType(_model, base)
    for layer in encoder.layer:
        layer.forward = MethodType(_layer, layer)
        layer.attention.attn.config = model.config
        layer.attention.attn.forward = MethodType(_attention, layer.attention.attn)


def _model(base: Any, input_ids: Tensor, position_ids: Tensor, packing: Packing) -> Any:
    """[1, T], [1, T] -> `last_hidden_state` [1, T, D]: what `MPNetModel.forward` computes."""
    from transformers.modeling_outputs import BaseModelOutput

    encoder = base.encoder
    table_NH = encoder.relative_attention_bias(encoder.buckets_N)
    bias = RelativeBias(table_NH, packing)
    hidden_1TD = base.embeddings(input_ids=input_ids, position_ids=position_ids)
    for layer in encoder.layer:
        hidden_1TD = layer(hidden_1TD, bias=bias, packing=packing)
    return BaseModelOutput(last_hidden_state=hidden_1TD)


def _layer(layer: Any, hidden_1TD: Tensor, **options: Any) -> Tensor:
    """[1, T, D] -> [1, T, D]: what `MPNetLayer.forward` computes."""
    block = layer.attention
    hidden_1TD = block.LayerNorm(block.dropout(block.attn(hidden_1TD, **options)) + hidden_1TD)
    out_1TD: Tensor = layer.output(layer.intermediate(hidden_1TD), hidden_1TD)
    return out_1TD


def _attention(attn: Any, hidden_1TD: Tensor, *, bias: RelativeBias, packing: Any) -> Tensor:
    """[1, T, D] -> [1, T, D]: what `MPNetSelfAttention.forward` computes, by the model's attention function."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    shape = (*hidden_1TD.shape[:-1], attn.num_attention_heads, attn.attention_head_size)
    query, key, value = (project(hidden_1TD).view(shape).transpose(1, 2) for project in (attn.q, attn.k, attn.v))
    attend = ALL_ATTENTION_FUNCTIONS[attn.config._attn_implementation]
    out_1THK, _ = attend(
        attn,
        query,
        key,
        value,
        None,
        packing=packing,
        dropout=attn.dropout.p if attn.training else 0.0,
        score_bias=bias.of(packing),
    )
    out_1TD: Tensor = attn.o(out_1THK.flatten(2))
    return out_1TD
