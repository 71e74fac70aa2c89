"""A packed batch: B sequences laid end to end in one row of T tokens, and where each begins and ends.

Linear layers, norms and activations see [T, D] and never know about sequences. Only attention does; it reads
`Packing`. Nothing is padded, so nothing is computed for padding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from feathertune.tokens.tokenized import TokenizedTexts
from feathertune.tokens.transfer import to_device

# Matrix kernels are compiled for each number of tokens; rounding it up makes few different ones of many (docs/LOG.md).
TOKEN_MULTIPLE = 8
# torch's softmax over rows of fewer than 16 numbers takes another path, five times slower than that of 16.
_SLOTS, _MIN_SLOTS_TO_PAD = 16, 8


@dataclass(frozen=True)
class Packing:
    """Where each of B sequences lies among T packed tokens; L is the longest sequence's length, or a little more.

    Sequences may share tokens: one that several begin with is there once, and `from_packed_BL` leads to it from each.

    Attributes:
        starts_B: [B] int64, the index of each sequence's first token.
        ends_B: [B] int64, the index of each sequence's last token.
        lengths_B: [B] int64, each sequence's number of tokens, at least 1.
        longest: L.
        from_packed_BL: [B, L] int64, for each slot of a padded layout the packed token that fills it; slots past a
            sequence's end repeat its last token, and are masked by whoever uses them.
        to_packed_T: [T] int64, for each packed token a slot of the flattened [B * L] padded layout that it fills.
        pooled_B: [B] int64, the token that stands for each sequence, once a model has said which: the last layer then
            computes no other. None where it needs them all.
        real_tokens: how many of the T tokens belong to a sequence; those that fill T up come after them.
        shares: whether sequences share tokens, instead of lying end to end.
        memo: what layers work out from the above, once for all of them. It belongs to this batch and device.
    """

    starts_B: Tensor
    ends_B: Tensor
    lengths_B: Tensor
    longest: int
    from_packed_BL: Tensor
    to_packed_T: Tensor
    real_tokens: int
    pooled_B: Tensor | None = None
    shares: bool = False
    memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def boundaries(self) -> Tensor:
        """[B + 2] int32: where each sequence begins, where the last one ends, and T. Sequences must lie end to end."""
        made: Tensor | None = self.memo.get("boundaries")
        if made is None:
            begins = functional.pad(torch.cumsum(self.lengths_B, 0), (1, 0))
            made = functional.pad(begins, (0, 1), value=len(self.to_packed_T)).to(torch.int32)
            self.memo["boundaries"] = made
        return made


@dataclass(frozen=True)
class TokenBatch:
    """B sequences, packed.

    Attributes:
        ids_T: [T] int64 token ids.
        positions_T: [T] int64, 0-based position of each token within its own sequence.
        packing: where the sequences lie.
        indices_B: [B] int64, the index of each sequence in the texts it was taken from.
    """

    ids_T: Tensor
    positions_T: Tensor
    packing: Packing
    indices_B: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices_B)

    def to(self, device: torch.device) -> TokenBatch:
        """The same on another device."""
        old = self.packing
        places = (old.starts_B, old.ends_B, old.lengths_B, old.from_packed_BL, old.to_packed_T)
        ids_T, positions_T, starts_B, ends_B, lengths_B, from_packed_BL, to_packed_T = to_device(
            (self.ids_T, self.positions_T, *places), device
        )
        packing = Packing(
            starts_B,
            ends_B,
            lengths_B,
            old.longest,
            from_packed_BL,
            to_packed_T,
            old.real_tokens,
            shares=old.shares,
        )
        return TokenBatch(ids_T, positions_T, packing, self.indices_B)


def pack(
    texts: TokenizedTexts,
    indices_B: npt.NDArray[np.int64],
    *,
    share_prefixes: bool = False,
    multiple: int = 1,
    length_multiple: int = 1,
) -> TokenBatch:
    """Lay the sequences at `indices_B` of `texts` end to end.

    Args:
        share_prefixes: hold a token once for all sequences that are equal up to it. Exact for causal models, whose
            rows depend on nothing that follows, if nothing is dropped at random.
        multiple: fill T up to a multiple of this with tokens that belong to no sequence: matrix kernels are compiled
            for each T, so that few different ones are fast sooner.
        length_multiple: fill L up to a multiple of this.
    """
    begins_B = texts.offsets[indices_B]
    lengths_B = texts.offsets[indices_B + 1] - begins_B
    slots_L = np.arange(_slots(int(lengths_B.max()), length_multiple))
    ids_BL = texts.ids[np.minimum(slots_L, lengths_B[:, None] - 1) + begins_B[:, None]].astype(np.int64)
    order_B, new_BL = np.arange(len(indices_B)), slots_L < lengths_B[:, None]
    if share_prefixes:  # in alphabetical order each row stands below the one it shares most with
        real_BL = np.where(new_BL, ids_BL, -1)
        order_B = np.lexsort(real_BL.T[::-1])
        new_BL, real_BL = new_BL[order_B], real_BL[order_B]
        new_BL[1:] &= ~np.logical_and.accumulate(real_BL[1:] == real_BL[:-1], axis=1)
    # Each new slot becomes the next token; any other is the token of the slot above it, in the row it was equal to.
    tokens_BL = np.where(new_BL, np.cumsum(new_BL).reshape(new_BL.shape) - 1, -1)
    tokens_BL = np.maximum.accumulate(tokens_BL, axis=0)
    tokens_BL = np.take_along_axis(tokens_BL, np.minimum(slots_L, lengths_B[order_B, None] - 1), axis=1)
    rows_T, positions_T = np.nonzero(new_BL)
    from_packed_BL = np.empty_like(tokens_BL)
    from_packed_BL[order_B] = tokens_BL
    to_packed_T = order_B[rows_T] * len(slots_L) + positions_T
    tokens = max(len(rows_T), len(indices_B))  # as many as sequences even if all share one: a model returns a row each
    filler = (0, tokens - len(rows_T) + -tokens % multiple)
    return TokenBatch(
        ids_T=torch.from_numpy(np.pad(ids_BL[order_B[rows_T], positions_T], filler)),
        positions_T=torch.from_numpy(np.pad(positions_T, filler)),
        packing=Packing(
            starts_B=torch.from_numpy(from_packed_BL[:, 0].copy()),
            ends_B=torch.from_numpy(from_packed_BL[:, -1].copy()),
            lengths_B=torch.from_numpy(lengths_B),
            longest=len(slots_L),
            from_packed_BL=torch.from_numpy(from_packed_BL),
            to_packed_T=torch.from_numpy(np.pad(to_packed_T, filler)),
            real_tokens=len(rows_T),
            shares=share_prefixes,
        ),
        indices_B=indices_B,
    )


def _slots(longest: int, multiple: int) -> int:
    """L: room for the longest sequence, in a size that attention is fast at."""
    slots = -(-longest // multiple) * multiple
    return _SLOTS if _MIN_SLOTS_TO_PAD < slots < _SLOTS else slots
