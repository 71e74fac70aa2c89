"""A complete model in transformers' own layout, as a full fine-tune saves it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from feathertune.model.base import build_empty
from feathertune.model.classifier import PackedClassifier
from feathertune.model.padding import padding_token, saved_tokenizer
from feathertune.model.substitution import conv1d_names
from feathertune.system.files import atomic_path, write_text
from feathertune.tokens.run_tokenizer import save_tokenizer


def save_model(classifier: PackedClassifier, folder: Path, tokenizer: Any) -> None:
    """Write config, float32 safetensors and tokenizer so that transformers' Auto classes load them directly.

    Linear layers that were GPT-2's `Conv1D` are transposed back; for the pad token see `padding`. The model must not
    have LoRA layers: merge them first.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "model.safetensors") as path:
        save_file(transformers_state(classifier), path, metadata={"format": "pt"})
    write_config(classifier, folder / "config.json", padding_token(classifier, tokenizer))
    save_tokenizer(saved_tokenizer(classifier, tokenizer), folder)


def surplus_parameters(classifier: PackedClassifier) -> list[str]:
    """The parameters that transformers' model of this config does not have, and would not load."""
    config = copy.deepcopy(classifier.model.config)
    own = build_empty(config, classifier.label_names).model.state_dict()
    return sorted(set(classifier.model.state_dict()) - set(own))


def write_config(classifier: PackedClassifier, path: Path, padding: int | None = None) -> None:
    """Write the model's config.json for transformers, with its labels but without the path it was loaded from.

    Args:
        classifier: the model.
        path: the file.
        padding: the `pad_token_id` to write; by default the model's own.
    """
    config = classifier.model.config.to_dict()
    if padding is not None:
        config["pad_token_id"] = padding
    config["architectures"] = [type(classifier.model).__name__]
    config["dtype"] = "float32"
    for private in ("_name_or_path", "quantization_config"):
        config.pop(private, None)
    write_text(path, type(classifier.model.config).from_dict(config).to_json_string(use_diff=False))


def transformers_state(classifier: PackedClassifier) -> dict[str, torch.Tensor]:
    """Transformers' parameter name -> float32 tensor on the CPU, with `Conv1D` weights in transformers' orientation."""
    conv1d = {f"{name}.weight" for name in conv1d_names(classifier.model)}
    state = {}
    for name, tensor in classifier.model.state_dict().items():
        value = tensor.detach().float().cpu() if tensor.is_floating_point() else tensor.cpu()
        state[name] = (value.T if name in conv1d else value).contiguous().clone()
    return state
