"""A packed batch: B sequences laid end to end in one row of T tokens, without padding.

Linear layers, norms and activations work on [T, D] without knowing about sequences. Only attention does; it reads
`Packing`. Nothing is computed for padding, because there is none.
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

# Matrix kernels are compiled for each number of tokens. Rounding it up means fewer different numbers (docs/LOG.md).
TOKEN_MULTIPLE = 8
# torch's softmax over rows of fewer than 16 elements uses another kernel, five times slower than the one for 16.
_SLOTS, _MIN_SLOTS_TO_PAD = 16, 8


@dataclass(frozen=True)
class Packing:
    """Where each of B sequences lies among T packed tokens; L is the length of the longest sequence, or slightly more.

    Sequences may share tokens: a common beginning is stored once, and `from_packed_BL` refers to it from each sequence.

    Attributes:
        starts_B: [B] int64, the index of each sequence's first token.
        ends_B: [B] int64, the index of each sequence's last token.
        lengths_B: [B] int64, each sequence's number of tokens, at least 1.
        longest: L.
        from_packed_BL: [B, L] int64, the packed token for each slot of a padded layout; slots past a sequence's end
            repeat its last token and must be masked.
        to_packed_T: [T] int64, for each packed token one of its slots in the flattened padded layout [B * L].
        pooled_B: [B] int64, the token that represents each sequence, set by the model: the last layer then computes no
            others. None if it must compute all tokens.
        real_tokens: how many of the T tokens belong to a sequence; the filler tokens come after them.
        shares: whether sequences may share tokens instead of lying end to end.
        memo: values that layers derive from the above, computed once per batch and device.
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
        """[B + 2] int32: the start of each sequence, the end of the last one, and T. Sequences must lie end to end."""
        boundaries: Tensor | None = self.memo.get("boundaries")
        if boundaries is None:
            begins = functional.pad(torch.cumsum(self.lengths_B, 0), (1, 0))
            boundaries = functional.pad(begins, (0, 1), value=len(self.to_packed_T)).to(torch.int32)
            self.memo["boundaries"] = boundaries
        return boundaries

    def unpack(self, x_TD: Tensor) -> Tensor:
        """[T, D] -> [B, L, D], zero past each sequence's end."""
        past_BL = torch.arange(self.longest, device=x_TD.device) >= self.lengths_B[:, None]
        padded_BLD = x_TD.index_select(0, self.from_packed_BL.flatten()).view(*past_BL.shape, -1)
        return padded_BLD.masked_fill(past_BL[:, :, None], 0.0)

    def repack(self, x_BLD: Tensor) -> Tensor:
        """[B, L, D] -> [T, D]."""
        return x_BLD.flatten(0, 1).index_select(0, self.to_packed_T)

    def distances(self) -> Tensor:
        """[L, L] int64: for each query (row) and key (column) of a sequence, the key's position less the query's."""
        distances: Tensor | None = self.memo.get("distances")
        if distances is None:
            slots_L = torch.arange(self.longest, device=self.lengths_B.device)
            distances = self.memo["distances"] = slots_L - slots_L[:, None]
        return distances


@dataclass(frozen=True)
class TokenBatch:
    """B sequences, packed.

    Attributes:
        ids_T: [T] int64 token ids.
        positions_T: [T] int64, 0-based position of each token within its sequence.
        packing: where the sequences lie.
        indices_B: [B] int64, the index of each sequence in the texts that it comes from.
    """

    ids_T: Tensor
    positions_T: Tensor
    packing: Packing
    indices_B: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices_B)

    def to(self, device: torch.device) -> TokenBatch:
        """The same batch on another device."""
        old = self.packing
        tensors = (old.starts_B, old.ends_B, old.lengths_B, old.from_packed_BL, old.to_packed_T)
        ids_T, positions_T, starts_B, ends_B, lengths_B, from_packed_BL, to_packed_T = to_device(
            (self.ids_T, self.positions_T, *tensors), device
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
        texts: the token ids.
        indices_B: [B] int64, which texts.
        share_prefixes: store a token once for all sequences that are equal up to and including it. Exact for causal
            models without dropout, whose rows do not depend on later tokens.
        multiple: pad T to a multiple of this with tokens that belong to no sequence. Matrix kernels are compiled for
            each T, so fewer different values mean less compilation.
        length_multiple: round L up to a multiple of this.
    """
    begins_B = texts.offsets[indices_B]
    lengths_B = texts.offsets[indices_B + 1] - begins_B
    slots_L = np.arange(_slots(int(lengths_B.max()), length_multiple))
    ids_BL = texts.ids[np.minimum(slots_L, lengths_B[:, None] - 1) + begins_B[:, None]].astype(np.int64)
    order_B, new_BL = np.arange(len(indices_B)), slots_L < lengths_B[:, None]
    if share_prefixes:  # in lexicographic order, each row follows the one that it shares most with
        real_BL = np.where(new_BL, ids_BL, -1)
        order_B = np.lexsort(real_BL.T[::-1])
        new_BL, real_BL = new_BL[order_B], real_BL[order_B]
        new_BL[1:] &= ~np.logical_and.accumulate(real_BL[1:] == real_BL[:-1], axis=1)
    # Each new slot becomes the next token; any other slot has the token of the slot above it.
    tokens_BL = np.where(new_BL, np.cumsum(new_BL).reshape(new_BL.shape) - 1, -1)
    tokens_BL = np.maximum.accumulate(tokens_BL, axis=0)
    tokens_BL = np.take_along_axis(tokens_BL, np.minimum(slots_L, lengths_B[order_B, None] - 1), axis=1)
    rows_T, positions_T = np.nonzero(new_BL)
    from_packed_BL = np.empty_like(tokens_BL)
    from_packed_BL[order_B] = tokens_BL
    to_packed_T = order_B[rows_T] * len(slots_L) + positions_T
    tokens = max(len(rows_T), len(indices_B))  # at least one per sequence, because the model returns a row for each
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
    """L: enough slots for the longest sequence, and a number for which attention is fast."""
    slots = -(-longest // multiple) * multiple
    return _SLOTS if _MIN_SLOTS_TO_PAD < slots < _SLOTS else slots
