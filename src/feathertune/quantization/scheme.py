"""Which parts of a model are quantized, and to how many bits. Nothing stays in float32 unless it is listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from feathertune.errors import UserError
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.classifier import PackedClassifier
from feathertune.model.names import matches, unmatched
from feathertune.quantization.numerics import Activations, Bits

Width = Literal["int8", "int4"]


@dataclass(frozen=True)
class Scheme:
    """How a model is quantized.

    Attributes:
        weights: of all linear layers except the head's.
        embeddings: int8 per row, or float32.
        head: int8 (even if the weights are int4), or float32.
        exclude: name endings of linear layers and embeddings that stay in float32.
        activations: of all quantized linear layers.
    """

    weights: Width
    embeddings: Literal["int8", "fp32"] = "int8"
    head: Literal["int8", "fp32"] = "int8"
    exclude: tuple[str, ...] = ()
    activations: Activations = "asymmetric"


@dataclass(frozen=True)
class Plan:
    """Module name -> bits of everything that is quantized, and the modules that the recipe keeps in float32."""

    linears: dict[str, Bits]
    head: dict[str, Bits]
    embeddings: tuple[str, ...]
    excluded: tuple[str, ...]
    activations: Activations

    @property
    def all_linears(self) -> dict[str, Bits]:
        """All linear layers, including the head's."""
        return self.linears | self.head


def plan_quantization(classifier: PackedClassifier, scheme: Scheme) -> Plan:
    """Apply a scheme to every linear layer and embedding of a float model.

    Raises:
        UserError: an exclusion matches nothing, or a weight matrix would silently stay in float32 because its layer is
            of an unknown kind.
    """
    model = classifier.model
    head_prefixes = tuple(f"{name}." for name in classifier.family.head_modules)
    linears: dict[str, Bits] = {}
    head: dict[str, Bits] = {}
    embeddings, excluded, used = [], [], set()
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, AdaptedLinear, nn.Embedding)):
            continue
        ending = next((ending for ending in scheme.exclude if matches(name, ending)), None)
        used.add(ending)
        in_head = f"{name}.".startswith(head_prefixes)
        width = scheme.embeddings if isinstance(module, nn.Embedding) else scheme.head if in_head else scheme.weights
        if ending is not None or width == "fp32":
            excluded.append(name)
        elif isinstance(module, nn.Embedding):
            embeddings.append(name)
        else:
            (head if in_head else linears)[name] = 4 if width == "int4" else 8
    _require_used(scheme.exclude, used, [*linears, *head, *embeddings, *excluded])
    known = tuple(f"{name}." for name in (*linears, *head, *embeddings, *excluded))
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and not name.startswith(known):
            raise UserError(
                f"{name} {list(parameter.shape)} would stay in float32: {type(_owner(model, name)).__name__} layers "
                "cannot be quantized",
                fix="Train this model without `quantize`.",
            )
    return Plan(linears, head, tuple(embeddings), tuple(excluded), scheme.activations)


def _require_used(exclude: tuple[str, ...], used: set[str | None], names: list[str]) -> None:
    for ending in exclude:
        if ending not in used:
            raise unmatched("quantize.exclude", ending, "linear layer or embedding", names)


def _owner(model: nn.Module, parameter: str) -> nn.Module:
    return model.get_submodule(parameter.rpartition(".")[0])
