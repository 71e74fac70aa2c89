"""From a packed batch to logits: the one forward pass that training, evaluation and prediction share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from feathertune.kernels.pooled_rows import trim_last_layer
from feathertune.model.families import (
    Family,
    Pooling,
    family_of,
    head_parameters,
)
from feathertune.tokens.batch import Packing, TokenBatch


class PackedClassifier(nn.Module):
    """transformers' own `...ForSequenceClassification` model, run on packed tokens.

    It owns no parameters but the model's, so names in a state dict are transformers' names behind `model.`.

    Args:
        model: transformers' model.
        fresh: the parameters that came from no checkpoint; by default the head's. A pooler among them (a BERT that was
            saved without one) is part of the head, since a random one must be trained and must travel with the head.
    """

    def __init__(self, model: Any, fresh: frozenset[str] | None = None) -> None:
        super().__init__()
        self.model = model
        self.family: Family = family_of(model.config.model_type, where=type(model).__name__)
        trim_last_layer(model.base_model, model.config.num_hidden_layers)
        # GPT-2's looks at the ids for padding, of which a packed batch has none, and would wait for a GPU to see it.
        model.base_model.warn_if_padding_and_no_attention_mask = _no_warning
        self.fresh = frozenset(head_parameters(model, self.family)) if fresh is None else fresh
        pooler = f"{model.base_model_prefix}.pooler"
        if any(name.startswith(f"{pooler}.") for name in self.fresh):
            self.family = replace(self.family, head_modules=(pooler, *self.family.head_modules))

    @property
    def label_names(self) -> tuple[str, ...]:
        """Class index -> name."""
        names: dict[int, str] = self.model.config.id2label
        return tuple(names[index] for index in range(len(names)))

    @property
    def causal(self) -> bool:
        """Whether no token's row depends on what follows it, so that texts can share what they begin with."""
        attentions = [m for m in self.model.base_model.modules() if hasattr(m, "is_causal")]
        return bool(attentions) and all(m.is_causal for m in attentions)

    def forward(self, batch: TokenBatch) -> Tensor:
        """Logits [B, C] float32 for the B sequences of `batch`, in its order."""
        config, pooling = self.model.config, self.family.pooling(self.model.config)
        options = {"use_cache": False} if pooling == "last" else {}
        hidden_TD = self.model.base_model(
            input_ids=batch.ids_T[None],
            position_ids=batch.positions_T[None] + self.family.first_position(config),
            packing=replace(batch.packing, pooled_B=_pooled(batch.packing, pooling)),
            **options,
        ).last_hidden_state[0]
        rows_BD = mean(hidden_TD, batch.packing) if pooling == "mean" else hidden_TD[: len(batch)]  # see pooled_rows
        logits_BC: Tensor = self.family.head(self.model, rows_BD)
        return logits_BC.float()


def _no_warning(*_: object) -> None: ...


def _pooled(packing: Packing, pooling: Pooling) -> Tensor | None:
    """[B]: the token that stands for each sequence, or None where all of them do."""
    return {"first": packing.starts_B, "last": packing.ends_B, "mean": None}[pooling]


def mean(hidden_TD: Tensor, packing: Packing) -> Tensor:
    """[T, D] -> [B, D]: the mean of each sequence's rows. Sequences must share none."""
    sequence_T = torch.repeat_interleave(packing.lengths_B, output_size=packing.real_tokens)
    sums_BD = hidden_TD.new_zeros(len(packing.lengths_B), hidden_TD.shape[1])
    return sums_BD.index_add(0, sequence_T, hidden_TD[: packing.real_tokens]) / packing.lengths_B[:, None]


@dataclass(frozen=True)
class ParameterCount:
    """How many numbers a model has, and how many of them are trained."""

    trainable: int
    total: int

    def __str__(self) -> str:
        return f"trainable {self.trainable:,} of {self.total:,} ({self.trainable / self.total:.4%})"
