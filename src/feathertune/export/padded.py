"""The classifier for exports: a padded batch in, logits out, using only operations that other runtimes have.

It is the packed classifier on a batch in which every slot holds a token: all layers but attention still see one row of
T = B * L tokens, and the last layer still computes only the pooled rows. Texts are padded on the right. Pad tokens that
end a text count as padding in a causal model, as in transformers: no row before them depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from feathertune.export.padded_attention import PaddedPacking, padded_attention, padded_disentangled_attention
from feathertune.kernels.fast_linear import FastLinear
from feathertune.kernels.gelu import TanhGELU
from feathertune.model.classifier import PackedClassifier
from feathertune.tokens.prompt import tokens_after_text

NAME = "feathertune_padded"


class Ending(nn.Module):
    """Texts of the maximum length end with the tokens that the tokenizer puts after a text, such as [SEP].

    A tokenizer cuts the text and keeps those tokens, so this changes nothing. Runtimes whose tokenizers cut by slicing
    (transformers.js) lose as many tokens at the end as there should be others, and get the evaluated ids this way.
    """

    ids_M: Tensor
    is_ending_M: Tensor

    def __init__(self, ids: Sequence[int], max_length: int) -> None:
        """Args: ids: the tokens after a text, fewer than `max_length`, the maximum number of tokens M."""
        super().__init__()
        slots_M = torch.arange(max_length)
        self.max_length = max_length
        self.register_buffer("ids_M", torch.zeros(max_length, dtype=torch.int64), persistent=False)
        self.register_buffer("is_ending_M", slots_M >= max_length - len(ids), persistent=False)
        self.ids_M[max_length - len(ids) :] = torch.tensor(list(ids), dtype=torch.int64)

    def forward(self, ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """[B, L] ids of texts of these lengths, L <= M -> [B, L]."""
        longest = ids_BL.shape[1]
        replaced_BL = (lengths_B == self.max_length)[:, None] & self.is_ending_M[:longest]
        return torch.where(replaced_BL, self.ids_M[:longest], ids_BL)


def ending_after(tokenizer: Any, max_length: int) -> Ending | None:
    """The `Ending` of a transformers tokenizer's texts; None if it puts nothing after them."""
    ids = tokens_after_text(tokenizer.backend_tokenizer)
    return Ending(ids, max_length) if ids else None


class PaddedClassifier(nn.Module):
    """input_ids and attention_mask [B, L] int64, padded on the right -> logits [B, C] float32.

    It takes over the classifier's model, merged and in evaluation mode: do not use the classifier afterwards.
    """

    def __init__(self, classifier: PackedClassifier, ending: Ending | None = None) -> None:
        """Take over `classifier`; `ending` repairs texts that were cut without it."""
        super().__init__()
        self.model = plain_model(classifier)
        self.family, self.never_pooled = classifier.family, classifier.never_pooled
        self.ending = ending

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, L], [B, L] -> [B, C]."""
        batch, longest = input_ids.shape
        config, pooling = self.model.config, self.family.pooling(self.model.config)
        lengths_B = attention_mask.sum(1)
        if self.ending is not None:
            input_ids = self.ending(input_ids, lengths_B)
        if self.never_pooled is not None:
            lengths_B = length_to_pooled(input_ids, attention_mask, self.never_pooled)
        packing = PaddedPacking.of(lengths_B, batch, longest, pooling)
        positions_BL = torch.arange(longest, device=input_ids.device).expand(batch, longest)
        options = {"use_cache": False} if pooling == "last" else {}
        hidden_TD = self.model.base_model(
            input_ids=input_ids.reshape(1, -1),
            position_ids=positions_BL.reshape(1, -1) + self.family.first_position(config),
            packing=packing,
            **options,
        ).last_hidden_state[0]

        def mean(x_TD: Tensor) -> Tensor:
            sums_BD = (x_TD.view(batch, longest, -1) * attention_mask[:, :, None].float()).sum(1)
            return sums_BD / packing.lengths_B[:, None].float()

        if pooling == "late":
            return mean(self.family.head(self.model, hidden_TD).float())
        logits_BC: Tensor = self.family.head(self.model, mean(hidden_TD) if pooling == "mean" else hidden_TD[:batch])
        return logits_BC.float()


def length_to_pooled(ids_BL: Tensor, mask_BL: Tensor, never_pooled: int) -> Tensor:
    """[B, L], [B, L] -> [B]: the tokens of each text up to the last that is not `never_pooled`, at least one."""
    slots_L = torch.arange(ids_BL.shape[1], device=ids_BL.device)
    return (slots_L * mask_BL * (ids_BL != never_pooled)).amax(1) + 1


def plain_model(classifier: PackedClassifier) -> Any:
    """The classifier's model, taken over, with padded attention and without layers that only torch can compute."""
    model = classifier.requires_grad_(False).eval().model
    _register()
    model.config._attn_implementation = NAME
    for name, module in list(model.named_modules()):
        if hasattr(module, "attend"):  # DeBERTa's, which the attention interface does not reach
            module.attend = padded_disentangled_attention
        if isinstance(module, TanhGELU):
            model.set_submodule(name, nn.GELU(approximate="tanh"))
        elif isinstance(module, FastLinear):
            model.set_submodule(name, _plain(module))
    return model.eval()


def _plain(fast: FastLinear) -> nn.Linear:
    linear = nn.Linear(fast.in_features, fast.out_features, bias=fast.bias is not None, device="meta")
    linear.weight = nn.Parameter(fast.weight.float(), requires_grad=False)
    if fast.bias is not None:
        linear.bias = nn.Parameter(fast.bias.float(), requires_grad=False)
    return linear


def _register() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, padded_attention)  # without a mask function: no mask is made
