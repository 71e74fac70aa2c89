"""A whole model in transformers' own layout: what a full fine-tune leaves, loadable by anyone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from feathertune.model.classifier import PackedClassifier
from feathertune.model.substitution import conv1d_names
from feathertune.system.files import atomic_path, write_text


def save_model(classifier: PackedClassifier, folder: Path, tokenizer: Any) -> None:
    """Write config, float32 safetensors and tokenizer so that transformers' Auto classes load them as they are.

    The linears that were GPT-2's `Conv1D` are transposed back, and the config pads as the tokenizer does. Nothing may
    be adapted: merge first.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "model.safetensors") as path:
        save_file(transformers_state(classifier), path, metadata={"format": "pt"})
    write_config(classifier, folder / "config.json", padding_token(classifier, tokenizer))
    _with_padding(classifier, tokenizer).save_pretrained(folder)


def padding_token(classifier: PackedClassifier, tokenizer: Any) -> int | None:
    """The id that has to be `pad_token_id` in the config of the saved model.

    Where the last token is pooled, transformers finds it by that id: the last that is another. It pads with what the
    tokenizer says, so the two must agree. Elsewhere it stays the base's: RoBERTa counts its positions from it.
    """
    config = classifier.model.config
    own: int | None = config.pad_token_id
    if classifier.family.pooling(config) == "last" and can_pad(tokenizer, config):
        return int(tokenizer.pad_token_id)
    return own


def can_pad(tokenizer: Any, config: Any) -> bool:
    """Whether the tokenizer has a token for padding that is one of the model's: GPT-2's has none."""
    return tokenizer.pad_token_id is not None and tokenizer.pad_token_id < config.vocab_size


def _with_padding(classifier: PackedClassifier, tokenizer: Any) -> Any:
    """The tokenizer, or one that pads with a special token that the config names, where it could not pad by itself."""
    config = classifier.model.config
    if can_pad(tokenizer, config) or config.pad_token_id not in tokenizer.added_tokens_decoder:
        return tokenizer
    padding = copy.deepcopy(tokenizer)
    padding.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
    return padding


def write_config(classifier: PackedClassifier, path: Path, padding: int | None = None) -> None:
    """Write transformers' config.json of this model, its labels included, without where it came from.

    Args:
        padding: written as `pad_token_id`; by default the model's own.
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
    """What transformers calls it -> float32 tensor on the CPU, `Conv1D` weights as transformers has them."""
    conv1d = {f"{name}.weight" for name in conv1d_names(classifier.model)}
    state = {}
    for name, tensor in classifier.model.state_dict().items():
        value = tensor.detach().float().cpu() if tensor.is_floating_point() else tensor.cpu()
        state[name] = (value.T if name in conv1d else value).contiguous().clone()
    return state
