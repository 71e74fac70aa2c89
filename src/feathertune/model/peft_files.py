"""Reading and writing adapters in PEFT's format, so that PEFT loads ours and we load PEFT's, with equal logits.

A folder holds `adapter_config.json`, `adapter_model.safetensors` (LoRA factors and the complete head, in float32) and
`labels.json` (class index -> name), which PEFT ignores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from feathertune.errors import UserError
from feathertune.model.adapt import LoraShape, add_lora, train_head_only, trainable_state
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import head_parameters
from feathertune.model.names import shortest_endings
from feathertune.model.substitution import conv1d_names
from feathertune.model.tensors import check_finite
from feathertune.system.files import atomic_path, read_json, write_json

_PREFIX = "base_model.model."
_CONFIG, TENSORS, _LABELS = "adapter_config.json", "adapter_model.safetensors", "labels.json"
_NO_LORA = "dummy-target-modules"  # PEFT's own value for 'only modules_to_save'
# Settings that change what an adapter computes and that AdaptedLinear does not support, with the values that mean off.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),  # all others change the base's weights
    "use_dora": (False, None),
    "bias": ("none", None),
    "lora_bias": (False, None),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "layer_replication": (None,),
    "trainable_token_indices": (None,),
    "target_parameters": (None, []),
    "use_qalora": (False, None),
    "use_bdlora": (False, None),
    "alora_invocation_tokens": (None,),
    "arrow_config": (None,),
    "kasa_config": (None,),
    "velora_config": (None,),
    "monteclora_config": (None,),
}


def save_adapter(
    classifier: PackedClassifier, folder: Path, shape: LoraShape | None, *, base: str, revision: str | None
) -> None:
    """Write the trained parameters (LoRA factors and head, or only the head if `shape` is None) in PEFT's format."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        _PREFIX + (f"{name}.weight" if name.endswith((".lora_A", ".lora_B")) else name): tensor.detach().float().cpu()
        for name, tensor in trainable_state(classifier).items()
    }
    with atomic_path(folder / TENSORS) as path:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    write_labels(classifier, folder)
    write_json(folder / _CONFIG, _peft_config(classifier, shape, base, revision))


def load_adapter(classifier: PackedClassifier, folder: Path) -> LoraShape | None:
    """Add the adapter in `folder` (ours or PEFT's) to a newly loaded base, in place.

    The adapted layers are taken from the tensors' names, not from `target_modules`, which may be a pattern. Head
    parameters that the adapter does not have keep the values of the base's own head, as in PEFT.

    Returns:
        The adapter's settings, or None if it consists of a head only.

    Raises:
        UserError: there is no adapter, it is not LoRA, or it has settings or tensors that this model does not support.
            The classifier is left unchanged.
    """
    config = read_adapter_config(folder)
    tensors = read_adapter(folder)
    shape = _shape_of(config, tensors, folder)
    _check_tensors(classifier, shape, tensors, folder)
    if shape is None:
        train_head_only(classifier)
    else:
        add_lora(classifier, shape, seed=0)
    with torch.no_grad():
        for name, tensor in tensors.items():
            classifier.model.get_parameter(name).copy_(tensor)
    return shape


def check_adapter(classifier: PackedClassifier, folder: Path) -> LoraShape | None:
    """Raise the UserErrors of `load_adapter` without changing the classifier. Returns the adapter's settings."""
    tensors = read_adapter(folder)
    shape = _shape_of(read_adapter_config(folder), tensors, folder)
    _check_tensors(classifier, shape, tensors, folder)
    return shape


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


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """The adapter's config. Raises UserError if it is missing, or uses a setting that is not supported."""
    config = read_json(folder / _CONFIG)
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise UserError(f"the adapter is of type {kind!r}, not LORA", where=str(folder / _CONFIG))
    for key, off in _UNSUPPORTED.items():
        if key in config and config[key] not in off:
            raise UserError(
                f"the adapter uses {key}={config[key]!r}, which is not supported",
                where=str(folder / _CONFIG),
                fix="Merge it with PEFT (merge_and_unload) and give the merged model as the base.",
            )
    return dict(config)


def read_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of an adapter, ours or PEFT's, by our parameter names. Raises UserError if they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / TENSORS
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        pickle = " (adapter_model.bin is a pickle and is never read)" if (folder / "adapter_model.bin").exists() else ""
        raise UserError(f"cannot read the adapter's tensors: {error}{pickle}", where=str(path)) from None
    tensors = {}
    for name, tensor in stored.items():
        ours = name.removeprefix(_PREFIX).replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".")
        for factor in (".lora_A", ".lora_B"):
            ours = ours.replace(f"{factor}.default.weight", factor).replace(f"{factor}.weight", factor)
        tensors[ours] = tensor.float()
    check_finite(tensors, path)
    return tensors


def _shape_of(config: dict[str, Any], tensors: dict[str, torch.Tensor], folder: Path) -> LoraShape | None:
    names = tuple(name.removesuffix(".lora_A") for name in tensors if name.endswith(".lora_A"))
    if not names:
        return None
    try:
        return LoraShape(
            rank=int(config["r"]),
            alpha=float(config["lora_alpha"]),
            dropout=float(config.get("lora_dropout") or 0.0),
            rslora=bool(config.get("use_rslora", False)),
            names=names,
        )
    except (KeyError, TypeError, ValueError):
        raise UserError("the adapter's config lacks r or lora_alpha", where=str(folder / _CONFIG)) from None


def _check_tensors(
    classifier: PackedClassifier, shape: LoraShape | None, tensors: dict[str, torch.Tensor], folder: Path
) -> None:
    """Refuse an adapter whose tensors are not exactly those that this model needs, with the same shapes."""
    model = classifier.model
    head = head_parameters(model, classifier.family)
    expected = {name: list(model.get_parameter(name).shape) for name in head}
    linears = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    rank, names = (0, ()) if shape is None else (shape.rank, shape.names)
    for name in names:
        if name not in linears:
            raise UserError(
                f"the adapter adapts {name!r}, which this model does not have as a linear layer",
                where=str(folder),
                fix="It was made for another base model.",
            )
        expected[f"{name}.lora_A"] = [rank, linears[name].in_features]
        expected[f"{name}.lora_B"] = [linears[name].out_features, rank]
    missing = sorted(set(expected) - set(tensors) - (set(head) - classifier.initialized))
    surplus = sorted(set(tensors) - set(expected))
    if missing or surplus:
        problem = f"lacks {missing[0]!r}" if missing else f"has {surplus[0]!r}, which this model does not have"
        raise UserError(f"the adapter {problem}", where=str(folder), fix="It was made for another base model.")
    for name, tensor in tensors.items():
        if list(tensor.shape) != expected[name]:
            raise UserError(
                f"{name} has shape {list(tensor.shape)}, this model and the adapter's config need {expected[name]}",
                where=str(folder),
                fix="It was made for another base model or another number of classes.",
            )


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
        # PEFT matches an ending with every module, those of the head included.
        "target_modules": shortest_endings(names, others) if shape is not None else _NO_LORA,
        "modules_to_save": list(classifier.family.head_modules),
        "fan_in_fan_out": bool(set(names) & set(conv1d_names(classifier.model))),
        "bias": "none",
        "init_lora_weights": True,
    }
