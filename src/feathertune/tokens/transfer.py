"""Moving a batch to its device: one asynchronous copy for all of its tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_device(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors on `device`; to a CUDA device with one asynchronous copy from page-locked memory."""
    return in_one_copy(tensors, device) if device.type == "cuda" else [tensor.to(device) for tensor in tensors]


def in_one_copy(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors, all of the same dtype, as views of one tensor on `device`.

    torch keeps the page-locked memory alive until the copy is complete.
    """
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    flat = (flat.pin_memory() if device.type == "cuda" else flat).to(device, non_blocking=True)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
