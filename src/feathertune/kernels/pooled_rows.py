"""Trimming the last layer to the pooled tokens: only the keys and values of the other tokens are needed.

transformers' layers compute queries, keys, values, residual and MLP for the same rows. So the last layer runs twice:
first for all rows, stopping once keys and values are computed, then for the pooled rows, whose queries attend to those
keys and values. This works for any architecture, whatever its layers do, and saves most of the last layer's time.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from feathertune.tokens.batch import Packing


@dataclass(frozen=True)
class PooledPacking:
    """The packing of a layer whose only queries are the B pooled tokens.

    Attributes:
        packing: where the sequences of keys and values lie.
        positions_B: [B] int64, the position of each pooled token within its sequence.
        collected: the keys and values [1, J, T, K] of all T tokens, and whatever else attention needs of the layer's
            first run; empty until then.
    """

    packing: Packing
    positions_B: Tensor
    collected: list[Any] = field(default_factory=list)

    def keys_and_values(self, key_1JTK: Tensor, value_1JTK: Tensor) -> tuple[Tensor, Tensor]:
        """Store the given keys and values in the first run, see `collect`, and return the stored ones."""
        if not self.collected:
            self.collect(key_1JTK, value_1JTK)
        key_1JTK, value_1JTK = self.collected
        return key_1JTK, value_1JTK

    def collect(self, *values: Any) -> None:
        """Store what the second run needs of the first.

        The first run ends here with an exception. An exception cannot pass the tracer of `torch.export`, so there the
        run continues, and its output, which must have the right shape, is not used.
        """
        self.collected.extend(values)
        if not torch.compiler.is_exporting():
            raise _Collected


class _Collected(Exception):  # noqa: N818 - not an error: it ends a run early
    """Ends the first run of the last layer once its keys and values are known."""


def trim_last_layer(base_model: nn.Module, depth: int) -> None:
    """Make the last of the model's `depth` layers compute only the pooled rows whenever `packing.pooled_B` is set.

    Its output is still [1, T, D], as the model expects: the first B rows are the pooled ones, the others zero.
    """
    last = repeated_layers(base_model, depth)[-1]
    last.register_forward_pre_hook(_before_last_layer, with_kwargs=True)
    last.register_forward_hook(_after_last_layer, with_kwargs=True)


def repeated_layers(base_model: nn.Module, depth: int) -> list[nn.Module]:
    """The model's `depth` layers, from first to last; where layers share weights, each use of one."""
    stacks = [module for module in base_model.modules() if isinstance(module, nn.ModuleList)]
    shared = [stack for stack in stacks if isinstance(stack, SharedLayers)]
    return list(shared[0] if shared else next(stack for stack in stacks if len(stack) == depth))


class SharedLayers(nn.ModuleList):
    """The uses of layers that share their weights, from first to last. It has no parameters of its own.

    Args:
        layers: the layer of each use; they are part of the model elsewhere.
    """

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__(_Use(layer) for layer in layers)


class _Use(nn.Module):
    """One use of a layer: hooks and gradient checkpointing of this use do not concern the others."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._layer = (layer,)  # in a tuple, so that its parameters do not get a second name

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return self._layer[0](*arguments, **options)


def _before_last_layer(
    layer: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Collect the keys and values of all rows, then pass only the pooled rows to the layer."""
    packing = options["packing"]
    if not isinstance(packing, Packing) or packing.pooled_B is None:
        return None
    rows_B, tokens = packing.pooled_B, packing.to_packed_T.shape[0]
    positions_B = torch.where(rows_B == packing.starts_B, 0, packing.lengths_B - 1)
    pooled = PooledPacking(packing, positions_B)
    with suppress(_Collected):
        layer.forward(*arguments, **options | {"packing": pooled})
    if not pooled.collected:
        raise TypeError(f"{type(layer).__name__} did not call packed attention")
    trimmed = tuple(_rows(value, rows_B, tokens) for value in arguments)
    return trimmed, {name: _rows(value, rows_B, tokens) for name, value in options.items()} | {"packing": pooled}


def _after_last_layer(_layer: nn.Module, _arguments: Any, options: dict[str, Any], hidden: Any) -> Any:
    """Pad the pooled rows to T rows."""
    packing = options["packing"]
    if not isinstance(packing, PooledPacking):
        return None
    rows_1BD = hidden[0] if isinstance(hidden, tuple) else hidden
    missing = packing.packing.to_packed_T.shape[0] - rows_1BD.shape[1]
    filled_1TD = functional.pad(rows_1BD, (0, 0, 0, missing))
    return (filled_1TD, *hidden[1:]) if isinstance(hidden, tuple) else filled_1TD


def _rows(value: Any, rows_B: Tensor, tokens: int) -> Any:
    """The pooled rows of any value with one row per token: hidden states, position ids, cosines and sines."""
    if isinstance(value, Tensor) and value.ndim >= 2 and value.shape[:2] == (1, tokens):
        return value.index_select(1, rows_B)
    if isinstance(value, tuple):
        return tuple(_rows(item, rows_B, tokens) for item in value)
    return value
