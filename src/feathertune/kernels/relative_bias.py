"""A bias of attention scores that depends on how far the key is from the query, from one row per distance.

Letters: B sequences, L longest sequence, H heads, Q queries of a sequence, N distances.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from feathertune.kernels.pooled_rows import PooledPacking
from feathertune.tokens.batch import Packing


class RelativeBias:
    """The bias of all layers of one forward pass.

    The rows of [N, H] are looked up once per pass and shared by all sequences and layers, so [1, H, L, L] is all that
    is made, whatever B is. That is done here and not in the first layer, which gradient checkpointing recomputes.

    Args:
        table_NH: the bias for key position - query position = -reach ... reach, N = 2 reach + 1. Greater distances have
            the bias of the greatest.
        packing: where the sequences lie.
    """

    def __init__(self, table_NH: Tensor, packing: Packing) -> None:
        self._table_NH = table_NH
        self._all_1HLL = self._look_up(packing.distances()[None])

    def of(self, packing: Packing | PooledPacking) -> Tensor:
        """[1, H, L, L] for all queries, or [B, H, 1, L] for the pooled ones."""
        if not isinstance(packing, PooledPacking):
            return self._all_1HLL
        # A row of the distances is that of one position.
        return self._look_up(packing.packing.distances().index_select(0, packing.positions_B)[:, None])

    def _look_up(self, distances_BQL: Tensor) -> Tensor:
        reach = len(self._table_NH) // 2
        rows_BQLH = functional.embedding(distances_BQL.clamp(-reach, reach) + reach, self._table_NH)
        return rows_BQLH.permute(0, 3, 1, 2).contiguous()
