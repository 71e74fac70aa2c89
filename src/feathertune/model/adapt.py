"""What each method trains: the head only, the head and LoRA factors, or all weights. Merging LoRA factors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from feathertune.errors import UserError
from feathertune.model.adapted_linear import AdaptedLinear, MergeableLinear
from feathertune.model.classifier import PackedClassifier, ParameterCount
from feathertune.model.families import head_parameters
from feathertune.model.names import layer_number, matches, unmatched
from feathertune.recipe.schema import LastLayers


@dataclass(frozen=True)
class LoraShape:
    """The settings shared by all LoRA layers of a model, and the full names of the linear layers that are adapted.

    Attributes:
        ranks, alphas: layers with a rank or alpha of their own.
    """

    rank: int
    alpha: float
    dropout: float
    rslora: bool
    names: tuple[str, ...]
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)

    @property
    def scaling(self) -> float:
        """The factor s in W + s B A, of all layers without settings of their own."""
        return self.scaling_of("")

    def rank_of(self, name: str) -> int:
        """The rank of a layer."""
        return self.ranks.get(name, self.rank)

    def scaling_of(self, name: str) -> float:
        """The factor s of a layer."""
        rank = self.rank_of(name)
        return self.alphas.get(name, self.alpha) / (math.sqrt(rank) if self.rslora else rank)


def find_targets(
    classifier: PackedClassifier, targets: str | tuple[str, ...], layers: LastLayers | tuple[int, ...] | None = None
) -> tuple[str, ...]:
    """The full names of the linear layers that `targets` selects: `attention`, `all-linear`, or PEFT's name endings.

    Args:
        classifier: the model.
        targets: see above.
        layers: only those in these of its repeated layers, as PEFT's `layers_to_transform`; by default all.

    Raises:
        UserError: an ending matches no linear layer, and the message suggests the nearest one; there is no such layer;
            or none of the targets is in these layers.
    """
    names = _targets(classifier, targets)
    if layers is None:
        return names
    chosen = _layer_numbers(classifier, layers)
    within = tuple(name for name in names if layer_number(name) in chosen)
    if not within:
        raise UserError(
            "lora.layers: none of the targets is in these layers", fix="Change lora.targets or lora.layers."
        )
    return within


def _layer_numbers(classifier: PackedClassifier, layers: LastLayers | tuple[int, ...]) -> frozenset[int]:
    """The numbers of the layers. Raises UserError if the model has no such layer."""
    numbers = {layer_number(name) for name, module in classifier.model.named_modules() if isinstance(module, nn.Linear)}
    known = sorted(number for number in numbers if number is not None)
    if isinstance(layers, LastLayers):
        if layers.last > len(known):
            raise UserError(f"lora.layers: the model has {len(known)} layers, not {layers.last}")
        return frozenset(known[-layers.last :])
    if wrong := sorted({*layers} - {*known}):
        raise UserError(f"lora.layers: the model has no layer {wrong[0]}; its layers are {known[0]} to {known[-1]}")
    return frozenset(layers)


def _targets(classifier: PackedClassifier, targets: str | tuple[str, ...]) -> tuple[str, ...]:
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
        if not any(matches(name, ending) for name in linears):
            raise unmatched("lora.targets", ending, "linear layer", linears, "; or give `attention` or `all-linear`")
    return tuple(name for name in linears if any(matches(name, ending) for ending in endings))


def add_lora(classifier: PackedClassifier, shape: LoraShape, seed: int) -> None:
    """Freeze the base and replace each target by an `AdaptedLinear`; its factors and the head are trained."""
    train_head_only(classifier)
    torch.manual_seed(seed)
    for name in shape.names:
        linear = classifier.model.get_submodule(name)
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"{name} is not a linear layer, or is already adapted")
        classifier.model.set_submodule(
            name, AdaptedLinear(linear, shape.rank_of(name), shape.scaling_of(name), shape.dropout)
        )


def train_head_only(classifier: PackedClassifier) -> None:
    """Freeze all weights except the head's."""
    classifier.model.requires_grad_(False)
    for name in head_parameters(classifier.model, classifier.family):
        classifier.model.get_parameter(name).requires_grad_(True)


def train_everything(classifier: PackedClassifier) -> None:
    """Make all weights trainable."""
    classifier.model.requires_grad_(True)


def merge(classifier: PackedClassifier) -> None:
    """Replace every `AdaptedLinear` by a plain linear layer with the merged weight, in place.

    A layer with fake quantization is replaced by its integer layer, so predictions are always those of the model that
    would be deployed.
    """
    for name, module in _mergeable(classifier):
        classifier.model.set_submodule(name, module.merged())


@contextmanager
def merged(classifier: PackedClassifier) -> Iterator[None]:
    """Merge for the duration of a `with` block, as for predictions; the original layers come back unchanged."""
    originals = _mergeable(classifier)
    merge(classifier)
    try:
        yield
    finally:
        for name, module in originals:
            classifier.model.set_submodule(name, module.train(classifier.training))


def _mergeable(classifier: PackedClassifier) -> list[tuple[str, MergeableLinear]]:
    return [(name, module) for name, module in classifier.model.named_modules() if isinstance(module, MergeableLinear)]


def trainable_state(classifier: PackedClassifier) -> dict[str, torch.Tensor]:
    """Name -> parameter, for all trainable parameters. They are not copied."""
    return {name: p for name, p in classifier.model.named_parameters() if p.requires_grad}


def copy_trained(state: dict[str, torch.Tensor], classifier: PackedClassifier) -> None:
    """Copy the values in `state` into the classifier's trainable parameters, by name."""
    with torch.no_grad():
        for name, parameter in trainable_state(classifier).items():
            parameter.copy_(state[name])


def count_parameters(classifier: PackedClassifier, members: int = 1) -> ParameterCount:
    """Count parameters as PEFT does, so that the figures can be compared.

    With a frozen base, PEFT keeps two copies of the head, the original and the trained one, and counts both.

    Args:
        classifier: the model.
        members: how many adapters are trained for a model soup; their factors are counted this many times.
    """
    model = classifier.model
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if trainable < total:
        head = (model.get_parameter(name) for name in head_parameters(model, classifier.family))
        total += sum(p.numel() for p in head)
    other_members = (members - 1) * sum(
        module.lora_A.numel() + module.lora_B.numel() for module in model.modules() if isinstance(module, AdaptedLinear)
    )
    return ParameterCount(trainable + other_members, total + other_members)
