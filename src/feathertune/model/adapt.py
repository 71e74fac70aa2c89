"""What a method trains: the head alone, LoRA factors and the head, or every weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from feathertune.errors import UserError, nearest
from feathertune.model.adapted_linear import AdaptedLinear, TrainedLinear
from feathertune.model.classifier import PackedClassifier, ParameterCount
from feathertune.model.families import head_parameters


@dataclass(frozen=True)
class LoraShape:
    """Rank R, scaling factor s and dropout of every adapter, and the linears that have one (full names)."""

    rank: int
    alpha: float
    dropout: float
    rslora: bool
    names: tuple[str, ...]

    @property
    def scaling(self) -> float:
        """The s in W + s B A."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


def find_targets(classifier: PackedClassifier, targets: str | tuple[str, ...]) -> tuple[str, ...]:
    """The full names of the linears that `targets` means: `attention`, `all-linear`, or PEFT's name endings.

    Raises:
        UserError: a name that matches no linear layer; the nearest that does is named.
    """
    head = tuple(f"{name}." for name in classifier.family.head_modules)
    linears = [
        name
        for name, module in classifier.model.named_modules()
        if isinstance(module, (nn.Linear, AdaptedLinear)) and not f"{name}.".startswith(head)
    ]
    if targets == "all-linear":
        return tuple(linears)
    endings = classifier.family.attention if isinstance(targets, str) else targets
    for ending in endings:
        if not any(_ends(name, ending) for name in linears):
            known = sorted({name.rpartition(".")[2] for name in linears})
            near = nearest(ending, known)
            raise UserError(
                f"lora.targets: {ending!r} is no linear layer of this model"
                + (f"; did you mean {near!r}?" if near else ""),
                fix=f"Its linear layers: {', '.join(known)}; or give `attention` or `all-linear`.",
            )
    return tuple(name for name in linears if any(_ends(name, ending) for ending in endings))


def add_lora(classifier: PackedClassifier, shape: LoraShape, seed: int) -> None:
    """Freeze the base, put an `AdaptedLinear` in place of each target, and let factors and head be trained."""
    train_head_only(classifier)
    torch.manual_seed(seed)
    for name in shape.names:
        linear = classifier.model.get_submodule(name)
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"{name} is no linear layer, or is adapted already")
        classifier.model.set_submodule(name, AdaptedLinear(linear, shape.rank, shape.scaling, shape.dropout))


def train_head_only(classifier: PackedClassifier) -> None:
    """Freeze every weight but the head's."""
    classifier.model.requires_grad_(False)
    for name in head_parameters(classifier.model, classifier.family):
        classifier.model.get_parameter(name).requires_grad_(True)


def train_everything(classifier: PackedClassifier) -> None:
    """Let every weight be trained."""
    classifier.model.requires_grad_(True)


def merge(classifier: PackedClassifier) -> None:
    """Replace every `AdaptedLinear` by the linear of its merged weight, in place.

    A layer with fake quantizers is replaced by its integers: what predicts is always what would be deployed.
    """
    for name, module in _trained(classifier):
        classifier.model.set_submodule(name, module.merged())


@contextmanager
def merged(classifier: PackedClassifier) -> Iterator[None]:
    """Merge for the time of a `with` block, as predictions want; the adapters are put back untouched."""
    trained = _trained(classifier)
    merge(classifier)
    try:
        yield
    finally:
        for name, module in trained:
            classifier.model.set_submodule(name, module.train(classifier.training))


def _trained(classifier: PackedClassifier) -> list[tuple[str, TrainedLinear]]:
    return [(name, module) for name, module in classifier.model.named_modules() if isinstance(module, TrainedLinear)]


def adapted_names(model: nn.Module) -> tuple[str, ...]:
    """The names of the modules that are adapted now."""
    return tuple(name for name, module in model.named_modules() if isinstance(module, AdaptedLinear))


def trainable_state(classifier: PackedClassifier) -> dict[str, torch.Tensor]:
    """Name -> the live parameter, for everything that is trained."""
    return {name: p for name, p in classifier.model.named_parameters() if p.requires_grad}


def copy_trained(state: dict[str, torch.Tensor], classifier: PackedClassifier) -> None:
    """Give everything in the classifier that is trained the values in `state`, by name."""
    with torch.no_grad():
        for name, parameter in trainable_state(classifier).items():
            parameter.copy_(state[name])


def count_parameters(classifier: PackedClassifier, members: int = 1) -> ParameterCount:
    """Count as PEFT prints it, so that the figures can be compared, with so many adapters side by side.

    With a frozen base, PEFT keeps the head twice, as it was and as it is trained, and counts both.
    """
    model = classifier.model
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if trainable < total:
        head = (model.get_parameter(name) for name in head_parameters(model, classifier.family))
        total += sum(p.numel() for p in head)
    further = (members - 1) * sum(
        module.lora_A.numel() + module.lora_B.numel() for module in model.modules() if isinstance(module, AdaptedLinear)
    )
    return ParameterCount(trainable + further, total + further)


def _ends(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")
