"""What of a model is quantized, and to how many bits. Whatever is left out must have been named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from feathertune.errors import UserError, nearest
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.classifier import PackedClassifier
from feathertune.quantization.numerics import Activations, Bits

Width = Literal["int8", "int4"]


@dataclass(frozen=True)
class Scheme:
    """How a model is quantized.

    Attributes:
        weights: of every linear layer but the head's.
        embeddings: int8 per row, or left in float32.
        head: int8 (also where the weights are int4), or left in float32.
        exclude: name endings of linears and embeddings that stay float32.
        activations: of all linear layers that are quantized.
    """

    weights: Width
    embeddings: Literal["int8", "fp32"] = "int8"
    head: Literal["int8", "fp32"] = "int8"
    exclude: tuple[str, ...] = ()
    activations: Activations = "asymmetric"


@dataclass(frozen=True)
class Plan:
    """Module name -> bits, of what is quantized; and the names of what stays float32 because the recipe says so."""

    linears: dict[str, Bits]
    head: dict[str, Bits]
    embeddings: tuple[str, ...]
    excluded: tuple[str, ...]
    activations: Activations

    @property
    def all_linears(self) -> dict[str, Bits]:
        """The head's too."""
        return self.linears | self.head


def plan_quantization(classifier: PackedClassifier, scheme: Scheme) -> Plan:
    """Decide for every linear layer and embedding of a float model.

    Raises:
        UserError: an exclusion that matches nothing, or a weight matrix that would be left in float32 unasked, because
            it belongs to a kind of layer that is not known here.
    """
    model = classifier.model
    head_prefixes = tuple(f"{name}." for name in classifier.family.head_modules)
    linears: dict[str, Bits] = {}
    head: dict[str, Bits] = {}
    embeddings, excluded, used = [], [], set()
    for name, module in model.named_modules():
        if not isinstance(module, (nn.Linear, AdaptedLinear, nn.Embedding)):
            continue
        ending = next((e for e in scheme.exclude if name == e or name.endswith(f".{e}")), None)
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
                f"{name} {list(parameter.shape)} would stay in float32: {type(_owner(model, name)).__name__} is not a "
                "layer that can be quantized",
                fix="Train this model without `quantize`.",
            )
    return Plan(linears, head, tuple(embeddings), tuple(excluded), scheme.activations)


def _require_used(exclude: tuple[str, ...], used: set[str | None], names: list[str]) -> None:
    for ending in exclude:
        if ending not in used:
            known = sorted({name.rpartition(".")[2] for name in names})
            near = nearest(ending, known)
            raise UserError(
                f"quantize.exclude: {ending!r} is no linear layer or embedding of this model"
                + (f"; did you mean {near!r}?" if near else ""),
                fix=f"They are called: {', '.join(known)}.",
            )


def _owner(model: nn.Module, parameter: str) -> nn.Module:
    return model.get_submodule(parameter.rpartition(".")[0])
