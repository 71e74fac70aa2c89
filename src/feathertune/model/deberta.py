"""DeBERTa-v2 and v3 on packed tokens.

transformers' DeBERTa passes neither `packing` nor an attention function down to its layers. So each module concerned
becomes one of a subclass with another `forward`; its parameters, names and hooks stay.

Letters: B sequences, T packed tokens, L longest sequence, D model width, H heads, K head width, R = 2 L offsets, E rows
of the table of relative embeddings that occur in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deberta_v2 import modeling_deberta_v2 as theirs

from feathertune.kernels.disentangled import Tables, disentangled_attention
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.tokens.batch import Packing


@dataclass(frozen=True)
class RelativeRows:
    """The relative embeddings of a batch's offsets, before the projections of each layer.

    Attributes:
        rows_ED: those that occur, each once.
        ascending_R: [R] int64, for the offsets from 1 - L up to L, the row of each; None if that is its own index.
        descending_R: [R] int64, the same for the offsets from L down to 1 - L.
    """

    rows_ED: Tensor
    ascending_R: Tensor | None
    descending_R: Tensor


class Offsets:
    """Which relative embedding each offset of two tokens has, for offsets up to `farthest`.

    It is a constant, computed once by transformers' own function: recomputed by another runtime, the logarithms at the
    limit of a bucket might be rounded to the other side.
    """

    def __init__(self, encoder: Any, farthest: int) -> None:
        # Longer than any text: `torch.export` specializes a slice that may keep the whole tensor.
        self.middle, span = farthest + 2, encoder.max_relative_positions
        offsets = torch.arange(-self.middle, self.middle + 1)
        if encoder.position_buckets > 0:
            span = encoder.position_buckets
            if encoder.max_relative_positions > 0:
                offsets = theirs.make_log_bucket_position(offsets, span, encoder.max_relative_positions)
        self.ids = torch.clamp(offsets.long() + span, 0, 2 * span - 1)
        self.backwards = torch.arange(2 * self.middle - 1, -1, -1)

    def used(self, longest: int, device: torch.device) -> tuple[Tensor, Tensor | None, Tensor]:
        """The ids [E] of the relative embeddings that texts of `longest` tokens need, and `RelativeRows`' indices.

        In an export, where L is a symbol, distant offsets may share an embedding, which is then computed twice.
        """
        if torch.compiler.is_exporting():
            ids_R = self.ids.narrow(0, self.middle + 1 - longest, 2 * longest)
            return ids_R, None, self.backwards.narrow(0, 2 * self.middle - 2 * longest, 2 * longest)
        offsets_R = torch.arange(1 - longest, longest + 1).clamp(-self.middle, self.middle)
        ids_E, ascending_R = torch.unique(self.ids[offsets_R + self.middle], return_inverse=True)
        own = None if len(ids_E) == len(ascending_R) else ascending_R.to(device)
        return ids_E.to(device), own, ascending_R.flip(0).to(device)


class PackedModel(theirs.DebertaV2Model):  # type: ignore[misc]
    """`DebertaV2Model` on a packed row."""

    def forward(self, input_ids: Tensor, position_ids: Tensor, packing: Packing) -> BaseModelOutput:
        """[1, T], [1, T] -> [1, T, D]."""
        hidden_1TD = self.embeddings(
            input_ids=input_ids, position_ids=position_ids, token_type_ids=torch.zeros_like(input_ids)
        )
        return BaseModelOutput(last_hidden_state=self.encoder(hidden_1TD, packing))


class PackedEncoder(theirs.DebertaV2Encoder):  # type: ignore[misc]
    """All layers, after the relative embeddings have been looked up once for them."""

    offsets: Offsets

    def forward(self, embedded_1TD: Tensor, packing: Packing) -> Tensor:
        """[1, T, D] -> [1, T, D]."""
        relative, hidden_1TD = self._relative_rows(packing, embedded_1TD.device), embedded_1TD
        for index, layer in enumerate(self.layer):
            hidden_1TD = layer(hidden_1TD, packing=packing, relative=relative)
            if index == 0 and self.conv is not None:
                hidden_1TD = self.conv(embedded_1TD, hidden_1TD, packing, trimmed=len(self.layer) == 1)
        return hidden_1TD

    def _relative_rows(self, packing: Packing, device: torch.device) -> RelativeRows | None:
        if not self.relative_attention:
            return None
        ids_E, ascending_R, descending_R = self.offsets.used(packing.longest, device)
        rows_ED = self.rel_embeddings(ids_E)
        if "layer_norm" in self.norm_rel_ebd:
            rows_ED = self.LayerNorm(rows_ED)
        return RelativeRows(rows_ED, ascending_R, descending_R)


class PackedLayer(theirs.DebertaV2Layer):  # type: ignore[misc]
    """One repeated layer."""

    def forward(
        self, hidden_1TD: Tensor, packing: Packing | PooledPacking, relative: RelativeRows | None = None
    ) -> Tensor:
        """[1, T, D] -> [1, T, D], or [1, B, D] -> [1, B, D] for the pooled rows."""
        attended_1TD = self.attention.self(hidden_1TD, packing, relative)
        between_1TD = self.attention.output(attended_1TD, hidden_1TD)
        out_1TD: Tensor = self.output(self.intermediate(between_1TD), between_1TD)
        return out_1TD


class PackedAttention(theirs.DisentangledSelfAttention):  # type: ignore[misc]
    """Attention with relative positions. `attend` is what computes it from the projections."""

    attend: Callable[..., Tensor]

    def forward(self, hidden_1TD: Tensor, packing: Packing | PooledPacking, relative: RelativeRows | None) -> Tensor:
        """[1, T, D] -> [1, T, D], or [1, B, D] -> [1, B, D] for the pooled rows."""
        hidden_TD, rows_ED = hidden_1TD[0], None if relative is None else self.pos_dropout(relative.rows_ED)
        if not isinstance(packing, PooledPacking):
            query_TD, queries_ED = self._project(self.query_proj, "p2c", hidden_TD, rows_ED)
            key_TD, keys_ED = self._project(self.key_proj, "c2p", hidden_TD, rows_ED)
            value_THK, tables = self._heads(self.value_proj(hidden_TD)), self._tables(keys_ED, queries_ED, relative)
            key_THK = self._heads(key_TD)
        elif not packing.collected:
            key_TD, keys_ED = self._project(self.key_proj, "c2p", hidden_TD, rows_ED)
            queries_ED = self._project(self.query_proj, "p2c", None, rows_ED)[1]
            value_THK = self._heads(self.value_proj(hidden_TD))
            packing.collect(self._heads(key_TD), value_THK, self._tables(keys_ED, queries_ED, relative))
            return hidden_1TD
        else:
            key_THK, value_THK, tables = packing.collected
            query_TD = self.query_proj(hidden_TD)
        parts = 1 + sum(part in self.pos_att_type for part in ("c2p", "p2c"))
        out_THK = self.attend(
            self._heads(query_TD),
            key_THK,
            value_THK,
            tables,
            packing,
            scale=1 / math.sqrt(self.attention_head_size * parts),
            dropout=self.dropout.p if self.training else 0.0,
        )
        return out_THK.reshape(1, -1, self.all_head_size)

    def _project(
        self, projection: nn.Module, part: str, hidden_TD: Tensor | None, rows_ED: Tensor | None
    ) -> tuple[Any, Tensor | None]:
        """The projections of the tokens, and of the relative embeddings if `part` of the scores needs them.

        Where both use one projection (`share_att_key`), it is one product: LoRA then adapts both, as in PEFT.
        """
        if rows_ED is None or part not in self.pos_att_type:
            return None if hidden_TD is None else projection(hidden_TD), None
        if not self.share_att_key:
            own = self.pos_key_proj if part == "c2p" else self.pos_query_proj
            return None if hidden_TD is None else projection(hidden_TD), own(rows_ED)
        if hidden_TD is None:
            return None, projection(rows_ED)
        both: Tensor = projection(torch.cat([hidden_TD, rows_ED]))
        tokens_TD, table_ED = torch.split(both, [hidden_TD.shape[0], rows_ED.shape[0]])
        return tokens_TD, table_ED

    def _tables(self, keys_ED: Tensor | None, queries_ED: Tensor | None, relative: RelativeRows | None) -> Tables:
        keys_RHK = queries_RHK = None
        if relative is not None and keys_ED is not None:
            keys_RHK = self._heads(keys_ED.index_select(0, relative.descending_R))
        if relative is not None and queries_ED is not None:
            index_R = relative.ascending_R
            queries_RHK = self._heads(queries_ED if index_R is None else queries_ED.index_select(0, index_R))
        return Tables(keys_RHK, queries_RHK)

    def _heads(self, x_TD: Tensor) -> Tensor:
        return x_TD.view(-1, self.num_attention_heads, self.attention_head_size)


class PackedConv(theirs.ConvLayer):  # type: ignore[misc]
    """The convolution after the first layer of the large models, over each text alone."""

    def forward(self, embedded_1TD: Tensor, hidden_1TD: Tensor, packing: Packing, trimmed: bool) -> Tensor:
        """[1, T, D], [1, T, D] -> [1, T, D]; `trimmed`: the first B rows of `hidden_1TD` are the pooled tokens'."""
        padded_BDL = packing.unpack(embedded_1TD[0]).transpose(1, 2)
        out_TD = packing.repack(self.conv(padded_BDL).transpose(1, 2))
        if trimmed and packing.pooled_B is not None:
            missing = out_TD.shape[0] - packing.pooled_B.shape[0]
            out_TD = functional.pad(out_TD.index_select(0, packing.pooled_B), (0, 0, 0, missing))
        out_TD = ACT2FN[self.conv_act](self.dropout(out_TD))
        normed_1TD: Tensor = self.LayerNorm(hidden_1TD + out_TD)
        return normed_1TD


_PACKED = {
    theirs.DebertaV2Model: PackedModel,
    theirs.DebertaV2Encoder: PackedEncoder,
    theirs.DebertaV2Layer: PackedLayer,
    theirs.DisentangledSelfAttention: PackedAttention,
    theirs.ConvLayer: PackedConv,
}


def run_on_packed_tokens(model: Any) -> None:
    """Make transformers' DeBERTa take packed tokens, in place."""
    for module in model.modules():
        module.__class__ = _PACKED.get(type(module), type(module))
        if isinstance(module, PackedAttention):
            module.attend = disentangled_attention
    encoder = model.base_model.encoder
    if encoder.relative_attention:
        encoder.offsets = Offsets(encoder, model.config.max_position_embeddings)
