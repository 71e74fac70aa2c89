"""The classifier for exports: a padded batch in, logits out, using only operations that other runtimes have.

It is the packed classifier on a batch in which every slot holds a token: all layers but attention still see one row of
T = B * L tokens, and the last layer still computes only the pooled rows. Texts are padded on the right. Pad tokens that
end a text count as padding in a causal model, as in transformers: no row before them depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.kernels.disentangled import Tables, pooled_attention
from feathertune.kernels.fast_linear import FastLinear
from feathertune.kernels.gelu import TanhGELU
from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.model.classifier import PackedClassifier
from feathertune.tokens.batch import Packing
from feathertune.tokens.prompt import tokens_after_text

NAME = "feathertune_padded"
MASKED = -1e30  # finite: a padding query may see only padding, and a row of -inf would become NaN


@dataclass(frozen=True)
class PaddedPacking(Packing):
    """The `Packing` of a padded batch: slot (b, l) is token b * L + l, real or padding.

    Attributes:
        batch: B.
    """

    batch: int = 0

    @classmethod
    def of(cls, lengths_B: Tensor, batch: int, longest: int, pooling: str) -> PaddedPacking:
        """The layout of B texts of these lengths, padded to `longest`."""
        starts_B = torch.arange(batch, device=lengths_B.device) * longest
        ends_B = starts_B + lengths_B - 1
        tokens_T = torch.arange(batch * longest, device=lengths_B.device)
        return cls(
            starts_B=starts_B,
            ends_B=ends_B,
            lengths_B=lengths_B,
            longest=longest,
            from_packed_BL=tokens_T.view(batch, longest),
            to_packed_T=tokens_T,
            real_tokens=batch * longest,
            pooled_B={"first": starts_B, "last": ends_B}.get(pooling),
            batch=batch,
        )

    def bias(self, causal: bool, window: int | None, pooled_positions_B: Tensor | None) -> Tensor | None:
        """The bias added to attention scores, computed once for all layers.

        [B or 1, 1, L or 1, L]: 0 where a query may attend, a very low number elsewhere; None: all zero.
        """
        key = ("padded bias", causal, window, pooled_positions_B is not None)
        if key not in self.memo:
            allowed = self._allowed(causal, window, pooled_positions_B)
            self.memo[key] = torch.where(allowed, 0.0, MASKED)[:, None]
        bias: Tensor = self.memo[key]
        return bias

    def unpack(self, x_TD: Tensor) -> Tensor:
        """[T, D] -> [B, L, D], zero at padding."""
        real_BL = torch.arange(self.longest, device=x_TD.device) < self.lengths_B[:, None]
        return x_TD.view(self.batch, self.longest, -1) * real_BL[:, :, None].to(x_TD.dtype)

    def repack(self, x_BLD: Tensor) -> Tensor:
        """[B, L, D] -> [T, D]."""
        return x_BLD.reshape(-1, x_BLD.shape[2])

    def _allowed(self, causal: bool, window: int | None, pooled_positions_B: Tensor | None) -> Tensor:
        slots_L = torch.arange(self.longest, device=self.lengths_B.device)
        queries = slots_L[None] if pooled_positions_B is None else pooled_positions_B[:, None]
        distance = queries[:, :, None] - slots_L
        # With padding on the right, a real causal query sees only real tokens: no padding mask is needed.
        allowed = distance >= 0 if causal else (slots_L < self.lengths_B[:, None])[:, None]
        return allowed if window is None else allowed & (distance.abs() < window)


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


def padded_attention(
    module: nn.Module,
    query_1HTK: Tensor,
    key_1JTK: Tensor,
    value_1JTK: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: PaddedPacking | PooledPacking,
    scaling: float | None = None,
    sliding_window: int | None = None,
    score_bias: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """`packed_attention` without its gathers: the same arguments, returns and letters, no dropout."""
    if attention_mask is not None:
        raise ValueError("a mask reached padded attention: the model built one, which it must not")
    positions_B = None
    padded: Any = packing
    if isinstance(packing, PooledPacking):
        collecting = not packing.collected
        key_1JTK, value_1JTK = packing.keys_and_values(key_1JTK, value_1JTK)
        if collecting:
            return query_1HTK.transpose(1, 2), None
        padded, positions_B = packing.packing, packing.positions_B
        query_BHQK = _by_sequence(query_1HTK, padded.batch, 1)
    else:
        query_BHQK = _by_sequence(query_1HTK, padded.batch, padded.longest)
    heads = query_1HTK.shape[1]
    key_BHLK, value_BHLK = (
        _repeat(_by_sequence(x, padded.batch, padded.longest), heads) for x in (key_1JTK, value_1JTK)
    )
    bias = padded.bias(bool(getattr(module, "is_causal", False)), sliding_window, positions_B)
    scale = query_1HTK.shape[-1] ** -0.5 if scaling is None else scaling
    # One matrix per text and head: bmm then transposes K itself instead of a slow separate pass.
    key_SLK, value_SLK, query_SQK = (x.flatten(0, 1) for x in (key_BHLK, value_BHLK, query_BHQK))
    scores_BHQL = torch.bmm(query_SQK, key_SLK.transpose(1, 2)).view(*query_BHQK.shape[:3], -1) * scale
    for added in (bias, score_bias):
        if added is not None:
            scores_BHQL = scores_BHQL + added
    weights_SQL = functional.softmax(scores_BHQL, dim=-1).flatten(0, 1)
    out_BHQK = torch.bmm(weights_SQL, value_SLK).view(query_BHQK.shape)
    return out_BHQK.transpose(1, 2).reshape(1, -1, heads, out_BHQK.shape[-1]), None


def padded_disentangled_attention(
    query_THK: Tensor,
    key_THK: Tensor,
    value_THK: Tensor,
    tables: Tables,
    packing: PaddedPacking | PooledPacking,
    *,
    scale: float,
    dropout: float,
) -> Tensor:
    """`disentangled_attention` without its gathers: the same arguments, returns and letters, no dropout."""
    padded: Any = packing.packing if isinstance(packing, PooledPacking) else packing
    batch, longest, (heads, width) = padded.batch, padded.longest, query_THK.shape[1:]
    bias = padded.bias(False, None, packing.positions_B if isinstance(packing, PooledPacking) else None)
    key_HTK, value_HTK = key_THK.transpose(0, 1).contiguous(), value_THK.transpose(0, 1).contiguous()
    if isinstance(packing, PooledPacking):
        shape = (heads, batch, longest, width)
        return pooled_attention(
            query_THK,
            key_HTK.view(shape),
            value_HTK.view(shape),
            tables,
            packing.positions_B,
            None if bias is None else bias[:, 0],
            scale=scale,
            dropout=dropout,
        )
    query_HTK = query_THK.transpose(0, 1).contiguous()
    query_SLK, key_SLK, value_SLK = (x.view(heads * batch, longest, width) for x in (query_HTK, key_HTK, value_HTK))
    scores_SLL = torch.bmm(query_SLK, key_SLK.transpose(1, 2))
    if tables.keys_RHK is not None:
        product_HTR = torch.bmm(query_HTK, tables.keys_RHK.permute(1, 2, 0))
        scores_SLL = scores_SLL + _diagonals(product_HTR, longest, longest)
    if tables.queries_RHK is not None:
        product_HTR = torch.bmm(key_HTK, tables.queries_RHK.permute(1, 2, 0))
        scores_SLL = scores_SLL + _diagonals(product_HTR, longest, longest - 1).transpose(1, 2)
    scores_SLL = scores_SLL * scale
    if bias is not None:
        scores_SLL = (scores_SLL.view(heads, batch, longest, longest) + bias[:, 0]).view(-1, longest, longest)
    out_SLK = torch.bmm(functional.softmax(scores_SLL, dim=-1), value_SLK)
    return out_SLK.view(heads, batch * longest, width).transpose(0, 1)


def _diagonals(product_HTR: Tensor, longest: int, first: int) -> Tensor:
    """[H, T, 2 L] -> [H * B, L, L]: element (i, j) is that of row i and column `first` - i + j."""
    pairs = product_HTR.reshape(-1, 2 * longest * longest)
    shorter = pairs.narrow(1, first, longest * (2 * longest - 1)).reshape(-1, longest, 2 * longest - 1)
    return shorter[:, :, :longest]


def _plain(fast: FastLinear) -> nn.Linear:
    linear = nn.Linear(fast.in_features, fast.out_features, bias=fast.bias is not None, device="meta")
    linear.weight = nn.Parameter(fast.weight.float(), requires_grad=False)
    if fast.bias is not None:
        linear.bias = nn.Parameter(fast.bias.float(), requires_grad=False)
    return linear


def _by_sequence(x_1HTK: Tensor, batch: int, longest: int) -> Tensor:
    """[1, H, T, K] -> [B, H, L, K], for T = B * L; the first transpose undoes the model's own."""
    heads, width = x_1HTK.shape[1], x_1HTK.shape[3]
    return x_1HTK.transpose(1, 2).reshape(batch, longest, heads, width).transpose(1, 2)


def _repeat(x_BJLK: Tensor, heads: int) -> Tensor:
    """[B, J, L, K] -> [B, H, L, K]: each key/value head serves H / J query heads."""
    batch, kv_heads, longest, width = x_BJLK.shape
    if kv_heads == heads:
        return x_BJLK
    wide = x_BJLK[:, :, None].expand(batch, kv_heads, heads // kv_heads, longest, width)
    return wide.reshape(batch, heads, longest, width)


def _register() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, padded_attention)  # without a mask function: no mask is made
