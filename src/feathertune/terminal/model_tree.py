"""A model as a tree: shapes, parameter counts, which layers are adapted; equal layers share one line."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree
from torch import nn

from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.classifier import PackedClassifier


def draw_model(classifier: PackedClassifier) -> Tree:
    """The tree of the classifier's modules, for rich."""
    model = classifier.model
    root = Tree(_line(type(model).__name__, model, kind=model.config.model_type))
    _grow(root, model)
    return root


def _grow(tree: Tree, module: nn.Module) -> None:
    children = [(name, child) for name, child in module.named_children() if not _has_no_parameters(child)]
    position = 0
    while position < len(children):
        name, child = children[position]
        last = position
        while last + 1 < len(children) and name.isdigit() and _signature(children[last + 1][1]) == _signature(child):
            last += 1
        label = name if last == position else f"{name} ... {children[last][0]}  ({last - position + 1} alike)"
        _grow(tree.add(_line(label, child)), child)
        position = last + 1


def _line(label: str, module: nn.Module, kind: str | None = None) -> Text:
    text = Text(label, style="bold" if kind else "")
    text.append(f"  {kind or type(module).__name__}", style="cyan")
    shape = _shape(module)
    if shape:
        text.append(f"  {shape}", style="dim")
    count = sum(parameter.numel() for parameter in module.parameters())
    if count:
        text.append(f"  {count:,}")
    trained = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    if isinstance(module, AdaptedLinear):
        text.append(f"  + LoRA r{module.lora_A.shape[0]} {trained:,}", style="bold green")
    elif trained and trained == count:
        text.append("  trained", style="bold green")
    return text


def _shape(module: nn.Module) -> str:
    if isinstance(module, (nn.Linear, AdaptedLinear)):
        outputs, width = module.weight.shape
        return f"{width} -> {outputs}" + ("" if module.bias is not None else ", no bias")
    if isinstance(module, nn.Embedding):
        return f"{module.num_embeddings} x {module.embedding_dim}"
    weight = getattr(module, "weight", None)
    return " x ".join(map(str, weight.shape)) if weight is not None else ""


def _has_no_parameters(module: nn.Module) -> bool:
    """Whether it is dropout, an activation, a rotary table or the like, which the tree leaves out."""
    return next(module.parameters(), None) is None


def _signature(module: nn.Module) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(name, tuple(p.shape), p.requires_grad) for name, p in module.named_parameters()]
