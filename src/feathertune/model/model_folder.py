"""A whole model in transformers' own layout: what a full fine-tune leaves, loadable by anyone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from feathertune.files import atomic_path, write_text
from feathertune.model.base import conv1d_names
from feathertune.model.classifier import PackedClassifier


def save_model(classifier: PackedClassifier, folder: Path, tokenizer: Any) -> None:
    """Write config, float32 safetensors and tokenizer so that transformers' Auto classes load them as they are.

    The linears that were GPT-2's `Conv1D` are transposed back. Nothing may be adapted: merge first.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "model.safetensors") as path:
        save_file(transformers_state(classifier), path, metadata={"format": "pt"})
    write_config(classifier, folder / "config.json")
    tokenizer.save_pretrained(folder)


def write_config(classifier: PackedClassifier, path: Path) -> None:
    """Write transformers' config.json of this model, its labels included, without where it came from."""
    config = classifier.model.config.to_dict()
    config["architectures"] = [type(classifier.model).__name__]
    config["dtype"] = "float32"
    for private in ("_name_or_path", "quantization_config"):
        config.pop(private, None)
    write_text(path, type(classifier.model.config).from_dict(config).to_json_string(use_diff=False))


def transformers_state(classifier: PackedClassifier) -> dict[str, torch.Tensor]:
    """What transformers calls it -> float32 tensor on the CPU, `Conv1D` weights as transformers has them."""
    conv1d = {f"{name}.weight" for name in conv1d_names(classifier.model)}
    state = {}
    for name, tensor in classifier.model.state_dict().items():
        value = tensor.detach().float().cpu() if tensor.is_floating_point() else tensor.cpu()
        state[name] = (value.T if name in conv1d else value).contiguous().clone()
    return state
