"""From a packed batch to logits: the forward pass shared by training, evaluation and prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from feathertune.kernels.pooled_rows import trim_last_layer
from feathertune.model.families import Family, Pooling, family_of, head_parameters
from feathertune.tokens.batch import Packing, TokenBatch


class PackedClassifier(nn.Module):
    """One of transformers' `...ForSequenceClassification` models, run on packed tokens.

    It has no parameters of its own, so the names in its state dict are transformers' names prefixed with `model.`.

    Args:
        model: transformers' model.
        initialized: the parameters that did not come from a checkpoint; by default the head's. A pooler among them (a
            BERT may be saved without one) becomes part of the head: it is random, so it must be trained and saved.
        base_padding: the `pad_token_id` in the base's config; the model's own config may hold another.
    """

    def __init__(self, model: Any, initialized: frozenset[str] | None = None, base_padding: int | None = None) -> None:
        super().__init__()
        self.model, self.base_padding = model, base_padding
        self.family: Family = family_of(model.config.model_type, where=type(model).__name__)
        self.family.use_packed_attention(model)
        trim_last_layer(model.base_model, model.config.num_hidden_layers)
        # GPT-2's version searches the ids for padding, which synchronizes with a GPU; packed batches have no padding.
        model.base_model.warn_if_padding_and_no_attention_mask = _no_warning
        default = frozenset(head_parameters(model, self.family))
        self.initialized = default if initialized is None else initialized
        if any(name.startswith(f"{self.pooler}.") for name in self.initialized):
            self.train_pooler()

    @property
    def pooler(self) -> str:
        """The name of BERT's pooler; other models have none."""
        return f"{self.model.base_model_prefix}.pooler"

    def train_pooler(self) -> None:
        """Make the pooler a part of the head, which every method trains and saves."""
        if self.pooler not in self.family.head_modules:
            self.family = replace(self.family, head_modules=(self.pooler, *self.family.head_modules))

    @property
    def label_names(self) -> tuple[str, ...]:
        """Class index -> name."""
        names: dict[int, str] = self.model.config.id2label
        return tuple(names[index] for index in range(len(names)))

    @property
    def causal(self) -> bool:
        """Whether no row depends on later tokens, so that texts can share a common beginning."""
        attentions = [m for m in self.model.base_model.modules() if hasattr(m, "is_causal")]
        return bool(attentions) and all(m.is_causal for m in attentions)

    @property
    def never_pooled(self) -> int | None:
        """The token that is never pooled at the end of a text, since transformers takes it for padding."""
        config = self.model.config
        padding: int | None = config.pad_token_id if self.family.pooling(config) == "last" else None
        return padding

    def forward(self, batch: TokenBatch) -> Tensor:
        """Logits [B, C] float32 of the B sequences of `batch`, in order."""
        config, pooling = self.model.config, self.family.pooling(self.model.config)
        options = {"use_cache": False} if pooling == "last" else {}
        hidden_TD = self.model.base_model(
            input_ids=batch.ids_T[None],
            position_ids=batch.positions_T[None] + self.family.first_position(config),
            packing=replace(batch.packing, pooled_B=_pooled(batch.packing, pooling)),
            **options,
        ).last_hidden_state[0]
        if pooling == "late":
            return mean(self.family.head(self.model, hidden_TD).float(), batch.packing)
        rows_BD = mean(hidden_TD, batch.packing) if pooling == "mean" else hidden_TD[: len(batch)]  # see pooled_rows
        logits_BC: Tensor = self.family.head(self.model, rows_BD)
        return logits_BC.float()


def _no_warning(*_: object) -> None: ...


def _pooled(packing: Packing, pooling: Pooling) -> Tensor | None:
    """[B]: the token that represents each sequence, or None if all of its tokens do."""
    return {"first": packing.starts_B, "last": packing.ends_B}.get(pooling)


def mean(hidden_TD: Tensor, packing: Packing) -> Tensor:
    """[T, D] -> [B, D]: the mean row of each sequence. Sequences must not share tokens."""
    sequence_T = torch.repeat_interleave(packing.lengths_B, output_size=packing.real_tokens)
    sums_BD = hidden_TD.new_zeros(len(packing.lengths_B), hidden_TD.shape[1])
    return sums_BD.index_add(0, sequence_T, hidden_TD[: packing.real_tokens]) / packing.lengths_B[:, None]


@dataclass(frozen=True)
class ParameterCount:
    """The number of a model's parameters, and of those that are trained."""

    trainable: int
    total: int

    def __str__(self) -> str:
        return f"trainable {self.trainable:,} of {self.total:,} ({self.trainable / self.total:.4%})"
