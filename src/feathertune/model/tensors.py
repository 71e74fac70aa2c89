"""Tensors from files: a damaged file, and one with NaN or infinite numbers, is one clear error wherever it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from feathertune.errors import UserError, in_short
from feathertune.model.sources import BaseFiles


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file. Raises UserError if it cannot be read, or a number in it is not finite."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the weights: {in_short(error)}", where=str(path)) from None
    check_finite(tensors, path)
    return tensors


def check_finite(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise a UserError that names the tensor if a number read from `path`, or to be written there, is not finite."""
    if (name := first_broken(tensors.items())) is not None:
        raise _not_finite(name, tensors[name], str(path))


def check_base(state: Mapping[str, torch.Tensor], files: BaseFiles) -> None:
    """`check_finite` for a base model's weights as they were loaded; the message names the file and its own tensor."""
    if (name := first_broken(state.items())) is None:
        return
    from safetensors import safe_open

    for file in files.weights if files.gguf_file is None else ():
        with safe_open(files.folder / file, "pt") as stored:
            for key in sorted(stored.keys()):
                if (name.endswith(key) or key.endswith(name)) and not is_finite(stored.get_tensor(key)):
                    raise _not_finite(key, stored.get_tensor(key), str(files.folder / file))
    raise _not_finite(name, state[name], str(files.folder / (files.gguf_file or "")))


def first_broken(tensors: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    """The name of the first tensor with NaN or an infinite number, or None."""
    return next((name for name, tensor in tensors if not is_finite(tensor)), None)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether every number is finite. A sum, which is much faster, shows it unless finite numbers overflow."""
    if not tensor.is_floating_point() or tensor.is_meta:
        return True
    if tensor.element_size() == 1:  # float8 has no sum
        tensor = tensor.float()
    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.isfinite().all())


def _not_finite(name: str, tensor: torch.Tensor, where: str) -> UserError:
    count = int((~tensor.float().isfinite()).sum())
    return UserError(
        f"the weights are broken: {count} of {tensor.numel()} numbers in {name} are NaN or infinite",
        where=where,
        fix="The file is damaged, or the training that made it diverged: use another copy or an earlier checkpoint.",
    )
