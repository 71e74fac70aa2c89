"""The folder of a quantized model. It is complete: predictions need nothing else.

```
weights.safetensors    integers, scales, biases, and the parts that are not quantized (norms) in float32
quantization.json      how each module is quantized, the maximum length of a text in tokens, sizes in bytes
config.json tokenizer.json labels.json
```
A linear layer is stored as `NAME.weight_OI` (int8; uint8 with two weights per byte for int4), `NAME.scale_O` or
`NAME.scale_OG` (bfloat16) and `NAME.bias_O`; an embedding as `NAME.weight_VD` and `NAME.scale_V`. Column sums are
computed when loading.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from feathertune.errors import UserError
from feathertune.folders.record import Part, Record
from feathertune.model.base import build_empty, load_config
from feathertune.model.classifier import PackedClassifier
from feathertune.model.model_folder import write_config
from feathertune.model.padding import saved_tokenizer
from feathertune.model.peft_files import read_labels, write_labels
from feathertune.model.tensors import read_tensors
from feathertune.quantization import numerics
from feathertune.quantization.integer import IntegerEmbedding, IntegerLinear
from feathertune.quantization.numerics import Activations, Bits
from feathertune.system.files import atomic_path
from feathertune.tokens.run_tokenizer import save_tokenizer

_WEIGHTS, _DESCRIPTION = "weights.safetensors", "quantization.json"
_IN_WORDS: dict[Activations, str] = {
    "asymmetric": "int8, asymmetric, one scale and zero point a token",
    "symmetric": "int8, symmetric, one scale a token",
}


class LinearEntry(Part, extra="forbid"):
    """A linear layer with `inputs` inputs and weights of `bits`, with one scale per `group` inputs (None: per channel).

    `activations` is written only if it is not the default. Versions that do not know the key then refuse the file
    instead of computing something else.
    """

    bits: Bits
    group: int | None
    inputs: int
    activations: Activations = "asymmetric"

    @classmethod
    def of(cls, linear: IntegerLinear) -> LinearEntry:
        """The description of `linear`."""
        return cls(bits=linear.bits, group=linear.group, inputs=linear.in_features, activations=linear.activations)


class EmbeddingEntry(Part, extra="forbid"):
    """An int8 embedding, whose rows are multiplied by `factor`."""

    factor: float


class Description(Record, extra="forbid"):
    """The content of quantization.json. `float32_bytes` is the size of the weights in float32."""

    FORMAT: ClassVar[int] = 1

    specification: str
    activations: str
    max_length: int
    weights_bytes: int
    float32_bytes: int
    linears: dict[str, LinearEntry]
    embeddings: dict[str, EmbeddingEntry]
    float32: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The content as dicts, lists and plain values, without keys that have their default value."""
        return self.model_dump(mode="json", exclude_defaults=True)


def save_quantized(classifier: PackedClassifier, folder: Path, tokenizer: Any, max_length: int) -> Description:
    """Write an integer model (see `convert`). Returns the content of quantization.json."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    linears = {n: m for n, m in classifier.model.named_modules() if isinstance(m, IntegerLinear)}
    embeddings = {n: m for n, m in classifier.model.named_modules() if isinstance(m, IntegerEmbedding)}
    tensors: dict[str, torch.Tensor] = {}
    for name, linear in linears.items():
        eight = linear.bits == 8
        tensors[f"{name}.weight_OI"] = linear.weight_OI if eight else numerics.pack_int4(linear.weight_OI)
        tensors[f"{name}.{'scale_O' if eight else 'scale_OG'}"] = (
            linear.scale_O if eight else linear.scale_OG.bfloat16()
        )
        if linear.bias_O is not None:
            tensors[f"{name}.bias_O"] = linear.bias_O
    for name, embedding in embeddings.items():
        tensors |= {f"{name}.weight_VD": embedding.weight_VD, f"{name}.scale_V": embedding.scale_V}
    floats = {name: parameter.detach().float() for name, parameter in classifier.model.named_parameters()}
    tensors |= floats
    with atomic_path(folder / _WEIGHTS) as path:
        save_file({n: t.cpu().contiguous() for n, t in tensors.items()}, path, metadata={"format": "pt"})
    numbers = sum(m.weight_OI.numel() + (0 if m.bias_O is None else m.bias_O.numel()) for m in linears.values())
    numbers += sum(m.weight_VD.numel() for m in embeddings.values()) + sum(t.numel() for t in floats.values())
    description = Description(
        specification="docs/NUMERICS.md of Feathertune",
        activations=" and ".join(sorted({_IN_WORDS[m.activations] for m in linears.values()})) or "float32",
        max_length=max_length,
        weights_bytes=(folder / _WEIGHTS).stat().st_size,
        float32_bytes=4 * numbers,
        linears={n: LinearEntry.of(m) for n, m in linears.items()},
        embeddings={n: EmbeddingEntry(factor=m.factor) for n, m in embeddings.items()},
        float32=tuple(floats),
    )
    write_config(classifier, folder / "config.json")
    write_labels(classifier, folder)
    save_tokenizer(saved_tokenizer(classifier, tokenizer), folder, max_length)
    description.write(folder / _DESCRIPTION)
    return description


def read_description(folder: Path) -> Description:
    """Read quantization.json. Raises UserError if it is missing or damaged, or has a later format."""
    return Description.read(folder / _DESCRIPTION)


def load_quantized(folder: Path) -> PackedClassifier:
    """Load the integer model that `save_quantized` wrote.

    Raises:
        UserError: a file is missing or damaged, or the files do not fit together.
    """
    description = read_description(folder)
    label_names = read_labels(folder)
    if label_names is None:
        raise UserError("labels.json is missing", where=str(folder))
    tensors = read_tensors(folder / _WEIGHTS)
    classifier = build_empty(load_config(folder), label_names)
    try:
        for name, linear in description.linears.items():
            classifier.model.set_submodule(name, _linear(tensors, name, linear))
        for name, embedding in description.embeddings.items():
            rows = IntegerEmbedding(tensors.pop(f"{name}.weight_VD"), tensors.pop(f"{name}.scale_V"), embedding.factor)
            classifier.model.set_submodule(name, rows)
        for name, parameter in list(classifier.model.named_parameters()):
            tensor = tensors.pop(name)
            if tensor.shape != parameter.shape:
                raise ValueError(f"{name} has shape {list(tensor.shape)}, not {list(parameter.shape)}")
            owner, _, last = name.rpartition(".")
            setattr(classifier.model.get_submodule(owner), last, nn.Parameter(tensor, requires_grad=False))
        if tensors:
            raise ValueError(f"the model has no {next(iter(tensors))}")
    except (KeyError, AttributeError, ValueError) as error:
        raise UserError(f"the weights do not fit config and quantization.json: {error}", where=str(folder)) from None
    return classifier.eval()


def _linear(tensors: dict[str, torch.Tensor], name: str, entry: LinearEntry) -> IntegerLinear:
    weight, bias_O = tensors.pop(f"{name}.weight_OI"), tensors.pop(f"{name}.bias_O", None)
    if entry.bits == 8:
        scale = tensors.pop(f"{name}.scale_O")
    else:
        weight, scale = numerics.unpack_int4(weight, entry.inputs), tensors.pop(f"{name}.scale_OG").float()
    return IntegerLinear(weight, scale, bias_O, entry.bits, entry.activations)
