"""Reading and writing adapters in PEFT's format, so that PEFT loads ours and we load PEFT's, with equal logits.

A folder holds `adapter_config.json`, `adapter_model.safetensors` (LoRA factors and the complete head, in float32) and
`labels.json` (class index -> name), which PEFT ignores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from feathertune.errors import UserError
from feathertune.folders.adapter import ADAPTER_CONFIG as CONFIG
from feathertune.model.adapt import LoraShape, add_lora, train_head_only, trainable_state
from feathertune.model.adapted_linear import AdaptedLinear
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import head_parameters
from feathertune.model.names import shortest_endings
from feathertune.model.peft_config import lora_shape, pattern_of, read_adapter_config
from feathertune.model.peft_tensors import (
    PREFIX,
    TENSORS,
    Parts,
    check_tensors,
    pooler_parameters,
    read_adapter,
    sort_tensors,
)
from feathertune.model.substitution import conv1d_names
from feathertune.system.files import atomic_path, read_json, write_json

__all__ = ["CONFIG", "TENSORS", "check_adapter", "load_adapter", "read_adapter", "read_adapter_config", "save_adapter"]
_LABELS = "labels.json"
_NO_LORA = "dummy-target-modules"  # PEFT's own value for 'only modules_to_save'


def save_adapter(
    classifier: PackedClassifier, folder: Path, shape: LoraShape | None, *, base: str, revision: str | None
) -> None:
    """Write the trained parameters (LoRA factors and head, or only the head if `shape` is None) in PEFT's format."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        PREFIX + (f"{name}.weight" if name.endswith((".lora_A", ".lora_B")) else name): tensor.detach().float().cpu()
        for name, tensor in trainable_state(classifier).items()
    }
    with atomic_path(folder / TENSORS) as path:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    write_labels(classifier, folder)
    write_json(folder / CONFIG, _peft_config(classifier, shape, base, revision))


def load_adapter(classifier: PackedClassifier, folder: Path) -> LoraShape | None:
    """Add the adapter in `folder` (ours or PEFT's) to a newly loaded base, in place.

    The adapted layers are taken from the tensors' names, not from `target_modules`, which may be a pattern. Head
    parameters that the adapter does not have keep the values of the base's own head, as in PEFT. Trained biases become
    the base's; for DoRA the rows of base and factors are scaled. Both compute what PEFT does, but are for prediction:
    see `check_continuable`.

    Returns:
        The adapter's settings, or None if it consists of a head only.

    Raises:
        UserError: there is no adapter, it is not LoRA, or it has settings or tensors that this model does not support.
            The classifier is left unchanged.
    """
    shape, parts = _checked(classifier, folder)
    if pooler_parameters(classifier, parts):
        classifier.train_pooler()
    if shape is None:
        train_head_only(classifier)
    else:
        add_lora(classifier, shape, seed=0)
    head = set(head_parameters(classifier.model, classifier.family))
    with torch.no_grad():
        for name, tensor in {**parts.factors, **parts.biases, **parts.others}.items():
            if name in parts.factors or name in parts.biases or name in head:
                classifier.model.get_parameter(name).copy_(tensor)
        for name, bias_O in parts.factor_biases.items():
            _add_bias(_adapted(classifier, name), bias_O)
        for name, magnitude_O in parts.magnitudes.items():
            _scale_rows(_adapted(classifier, name), magnitude_O)
    return shape


def check_adapter(classifier: PackedClassifier, folder: Path) -> LoraShape | None:
    """Raise the UserErrors of `load_adapter` without changing the classifier. Returns the adapter's settings."""
    return _checked(classifier, folder)[0]


def check_continuable(folder: Path) -> None:
    """Raise a UserError if training cannot continue from the adapter: it also changed what LoRA leaves frozen."""
    config = read_adapter_config(folder)
    off = {"use_dora": (False, None), "lora_bias": (False, None), "bias": ("none", None)}
    for key, values in off.items():
        if config.get(key) not in values:
            raise UserError(
                f"training cannot continue from an adapter with {key}={config[key]!r}: only LoRA factors and the head "
                "are trained here",
                where=str(folder),
                fix="Export it with --to merged, and give the merged folder as model.source, without init_from.",
            )


def _checked(classifier: PackedClassifier, folder: Path) -> tuple[LoraShape | None, Parts]:
    config = read_adapter_config(folder)
    head = head_parameters(classifier.model, classifier.family)
    parts = sort_tensors(config, read_adapter(folder), head)
    shape = lora_shape(config, parts.names, folder) if parts.names else None
    check_tensors(classifier, config, shape, parts, folder)
    return shape, parts


def _adapted(classifier: PackedClassifier, name: str) -> AdaptedLinear:
    module = classifier.model.get_submodule(name)
    assert isinstance(module, AdaptedLinear)
    return module


def _add_bias(module: AdaptedLinear, bias_O: torch.Tensor) -> None:
    """Add the bias of PEFT's `lora_bias`: y = W x + b + s (B A x + bias)."""
    own_O = torch.zeros_like(bias_O) if module.bias is None else module.bias.detach()
    module.bias = nn.Parameter(own_O + module.scaling * bias_O, requires_grad=False)


def _scale_rows(module: AdaptedLinear, magnitude_O: torch.Tensor) -> None:
    """Scale W and B by rows, so that W + s B A becomes DoRA's weight: each of its rows has the length `magnitude_O`.

    DoRA (Liu et al. 2024, arXiv:2402.09353), as PEFT computes it: the bias is not scaled.
    """
    weight_OI = torch.addmm(module.weight, module.lora_B, module.lora_A, alpha=module.scaling)
    scale_O1 = (magnitude_O / torch.linalg.norm(weight_OI, dim=1))[:, None]
    module.weight.mul_(scale_O1)
    module.lora_B.mul_(scale_O1)


def write_labels(classifier: PackedClassifier, folder: Path) -> None:
    """Write labels.json, class index -> name, into `folder`."""
    write_json(folder / _LABELS, {"id2label": dict(enumerate(classifier.label_names))})


def read_labels(folder: Path) -> tuple[str, ...] | None:
    """The label names saved with an adapter, or None for an adapter written by PEFT itself."""
    if not (folder / _LABELS).is_file():
        return None
    try:
        names = read_json(folder / _LABELS)["id2label"]
        return tuple(names[str(index)] for index in range(len(names)))
    except (KeyError, TypeError):
        raise UserError("the labels are not numbered from 0", where=str(folder / _LABELS)) from None


def _peft_config(
    classifier: PackedClassifier, shape: LoraShape | None, base: str, revision: str | None
) -> dict[str, Any]:
    names = () if shape is None else shape.names
    others = [name for name, _ in classifier.model.named_modules() if name not in set(names)]
    return {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS",
        "base_model_name_or_path": base,
        "revision": revision,
        "inference_mode": True,
        "r": 8 if shape is None else shape.rank,
        "lora_alpha": 8 if shape is None else shape.alpha,
        "lora_dropout": 0.0 if shape is None else shape.dropout,
        "use_rslora": shape is not None and shape.rslora,
        "rank_pattern": {} if shape is None else pattern_of(dict(shape.ranks)),
        "alpha_pattern": {} if shape is None else pattern_of(dict(shape.alphas)),
        # PEFT matches an ending with every module, those of the head included.
        "target_modules": shortest_endings(names, others) if shape is not None else _NO_LORA,
        "modules_to_save": list(classifier.family.head_modules),
        "fan_in_fan_out": bool(set(names) & set(conv1d_names(classifier.model))),
        "bias": "none",
        "init_lora_weights": True,
    }
