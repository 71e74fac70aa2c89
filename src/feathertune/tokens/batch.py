"""A packed batch: B sequences laid end to end in one row of T tokens, and where each begins and ends.

Linear layers, norms and activations see [T, D] and never know about sequences. Only attention does; it reads
`Packing`. Nothing is padded, so nothing is computed for padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from feathertune.tokens.tokenized import TokenizedTexts


@dataclass(frozen=True)
class Packing:
    """Where each of B sequences lies among T packed tokens; L is the longest sequence.

    Attributes:
        starts_B: [B] int64, the index of each sequence's first token.
        lengths_B: [B] int64, each sequence's number of tokens, at least 1.
        longest: L.
        from_packed_BL: [B, L] int64, for each slot of a padded layout the packed token that fills it; slots past a
            sequence's end repeat its last token, and are masked by whoever uses them.
        to_packed_T: [T] int64, for each packed token its slot in the flattened [B * L] padded layout.
    """

    starts_B: Tensor
    lengths_B: Tensor
    longest: int
    from_packed_BL: Tensor
    to_packed_T: Tensor

    @property
    def ends_B(self) -> Tensor:
        """[B] int64: the index of each sequence's last token."""
        return self.starts_B + self.lengths_B - 1

    def to(self, device: torch.device) -> Packing:
        """The same on another device."""
        return Packing(
            self.starts_B.to(device),
            self.lengths_B.to(device),
            self.longest,
            self.from_packed_BL.to(device),
            self.to_packed_T.to(device),
        )


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
        return TokenBatch(self.ids_T.to(device), self.positions_T.to(device), self.packing.to(device), self.indices_B)


def pack(texts: TokenizedTexts, indices_B: npt.NDArray[np.int64]) -> TokenBatch:
    """Lay the sequences at `indices_B` of `texts` end to end, in that order."""
    begins_B, ends_B = texts.offsets[indices_B], texts.offsets[indices_B + 1]
    lengths_B = (ends_B - begins_B).astype(np.int64)
    starts_B = np.cumsum(lengths_B) - lengths_B
    sequence_T = np.repeat(np.arange(len(indices_B)), lengths_B)
    positions_T = np.arange(lengths_B.sum()) - starts_B[sequence_T]
    ids_T = texts.ids[begins_B[sequence_T] + positions_T].astype(np.int64)
    longest = int(lengths_B.max())
    slots_BL = np.minimum(np.arange(longest)[None, :], lengths_B[:, None] - 1) + starts_B[:, None]
    return TokenBatch(
        ids_T=torch.from_numpy(ids_T),
        positions_T=torch.from_numpy(positions_T),
        packing=Packing(
            starts_B=torch.from_numpy(starts_B),
            lengths_B=torch.from_numpy(lengths_B),
            longest=longest,
            from_packed_BL=torch.from_numpy(slots_BL),
            to_packed_T=torch.from_numpy(sequence_T * longest + positions_T),
        ),
        indices_B=indices_B,
    )
