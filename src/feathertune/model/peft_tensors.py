"""The tensors of an adapter in PEFT's format, by our names, and what is refused about them.

Names here are those of transformers' model, `X.lora_A`, `X.lora_B`, `X.lora_B.bias` and `X.lora_magnitude_vector`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from feathertune.errors import UserError
from feathertune.model.adapt import LoraShape
from feathertune.model.base_folder import check_real
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import FAMILIES, head_parameters
from feathertune.model.peft_config import MERGE, named_base
from feathertune.model.tensors import check_finite

PREFIX = "base_model.model."
TENSORS = "adapter_model.safetensors"
# What torch.compile, activation checkpointing, FSDP and data parallelism put into the names of a model they wrap.
_WRAPPERS = re.compile(r"(^module\.|(?<![^.])_(orig_mod|checkpoint_wrapped_module|fsdp_wrapped_module)\.)")
_FACTOR = re.compile(r"\.(lora_[AB])(?:\.[^.]+)?\.weight$")
_FACTOR_BIAS = re.compile(r"\.lora_B(?:\.[^.]+)?\.bias$")
_MAGNITUDE = re.compile(r"\.lora_magnitude_vector(?:\..+)?$")
_HEADS = tuple({f"{module}." for family in FAMILIES.values() for module in family.head_modules})
_TOKEN_TASKS = ("TOKEN_CLS", "QUESTION_ANS")  # their heads have the names of ours, but predict for each token


@dataclass(frozen=True)
class Parts:
    """The tensors of an adapter by their purpose.

    Attributes:
        factors: `X.lora_A` [R, I] and `X.lora_B` [O, R].
        factor_biases: layer -> [O], added to B A x before the scaling (`lora_bias`).
        magnitudes: layer -> [O], the norm of each row of DoRA's weight.
        biases: the base's biases that were trained (`bias: all` or `lora_only`).
        others: the head, and whatever else is stored.
    """

    factors: dict[str, Tensor] = field(default_factory=dict)
    factor_biases: dict[str, Tensor] = field(default_factory=dict)
    magnitudes: dict[str, Tensor] = field(default_factory=dict)
    biases: dict[str, Tensor] = field(default_factory=dict)
    others: dict[str, Tensor] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The adapted layers."""
        return tuple(name.removesuffix(".lora_A") for name in self.factors if name.endswith(".lora_A"))


def read_adapter(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter, ours or PEFT's, by our parameter names. Raises UserError if they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / TENSORS
    check_real(folder, (TENSORS,))
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        pickle = (folder / "adapter_model.bin").exists()
        raise UserError(
            f"cannot read the adapter's tensors: {error}"
            + (" (adapter_model.bin is a pickle and is never read)" if pickle else ""),
            where=str(path),
            fix="With PEFT: PeftModel.from_pretrained(BASE, FOLDER).save_pretrained(FOLDER) writes safetensors."
            if pickle
            else None,
        ) from None
    tensors = {}
    for name, tensor in stored.items():
        if ".original_module." in name:
            continue  # with `bias: all`: the base's own head, which the trained one replaces
        if not tensor.is_floating_point():
            raise UserError(f"{name} holds integers ({tensor.dtype}): the adapter is quantized", where=str(path))
        tensors[_our_name(name)] = tensor.float()
    check_finite(tensors, path)
    return tensors


def sort_tensors(config: dict[str, Any], tensors: dict[str, Tensor], head: list[str]) -> Parts:
    """The adapter's tensors by their purpose. `head` names the parameters of the model's head."""
    parts, biased = Parts(), config.get("bias") not in ("none", None)
    for name, tensor in tensors.items():
        if name.endswith((".lora_A", ".lora_B")):
            parts.factors[name] = tensor
        elif name.endswith(".lora_B.bias") and config.get("lora_bias"):
            parts.factor_biases[name.removesuffix(".lora_B.bias")] = tensor
        elif name.endswith(".lora_magnitude_vector") and config.get("use_dora"):
            parts.magnitudes[name.removesuffix(".lora_magnitude_vector")] = tensor
        elif biased and name.endswith(".bias") and name not in head:
            parts.biases[name] = tensor
        else:
            parts.others[name] = tensor
    return parts


def check_tensors(
    classifier: PackedClassifier, config: dict[str, Any], shape: LoraShape | None, parts: Parts, folder: Path
) -> None:
    """Refuse an adapter whose tensors are not exactly those that this model needs, with the same shapes."""
    model, head = classifier.model, head_parameters(classifier.model, classifier.family)
    _check_head(config, set(head), parts, classifier.initialized, folder)
    expected = {name: list(model.get_parameter(name).shape) for name in head}
    expected |= {name: list(model.get_parameter(name).shape) for name in pooler_parameters(classifier, parts)}
    for name in () if shape is None else shape.names:
        outputs, inputs = _linear(model, name, config, folder).weight.shape
        assert shape is not None
        expected |= {f"{name}.lora_A": [shape.rank_of(name), inputs], f"{name}.lora_B": [outputs, shape.rank_of(name)]}
        if config.get("use_dora"):
            expected[f"{name}.lora_magnitude_vector"] = [outputs]
        if config.get("lora_bias"):
            expected[f"{name}.lora_B.bias"] = [outputs]
    expected |= _expected_biases(classifier, config, shape)
    found = {
        **parts.factors,
        **{f"{name}.lora_B.bias": tensor for name, tensor in parts.factor_biases.items()},
        **{f"{name}.lora_magnitude_vector": tensor for name, tensor in parts.magnitudes.items()},
        **parts.biases,
        **parts.others,
    }
    _check_names(classifier, config, expected, found, set(head), folder)
    for name, size in expected.items():
        if name in found and list(found[name].shape) != size:
            raise _wrong_shape(name, list(found[name].shape), size, classifier, config, folder)


def pooler_parameters(classifier: PackedClassifier, parts: Parts) -> list[str]:
    """The parameters of the model's pooler, if the adapter has trained it (as one of `modules_to_save`)."""
    pooler = f"{classifier.pooler}."
    if not any(name.startswith(pooler) for name in parts.others):
        return []
    return [name for name, _ in classifier.model.named_parameters() if name.startswith(pooler)]


def made_for(config: dict[str, Any]) -> str:
    """The advice where an adapter does not fit the base."""
    name = named_base(config)
    return "It was made for another base model" + (f": its config names {name}." if name else ".")


def _our_name(name: str) -> str:
    name = _WRAPPERS.sub("", name).removeprefix(PREFIX).replace(".base_layer.bias", ".bias")
    name = name.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".")
    name = _FACTOR.sub(r".\1", name)
    name = _FACTOR_BIAS.sub(".lora_B.bias", name)
    return _MAGNITUDE.sub(".lora_magnitude_vector", name)


def _linear(model: nn.Module, name: str, config: dict[str, Any], folder: Path) -> nn.Linear:
    try:
        module = model.get_submodule(name)
    except AttributeError:
        raise UserError(
            f"the adapter adapts {name!r}, which this model does not have as a linear layer",
            where=str(folder),
            fix=made_for(config),
        ) from None
    if not isinstance(module, nn.Linear):
        raise UserError(
            f"the adapter adapts {name!r}, which this model does not have as a linear layer but as "
            f"{type(module).__name__}",
            where=str(folder),
            fix=MERGE,
        )
    return module


def _check_head(config: dict[str, Any], head: set[str], parts: Parts, new: frozenset[str], folder: Path) -> None:
    """Refuse an adapter that classifies tokens, or that lacks a head where the base has none either."""
    task = config.get("task_type")
    if task in _TOKEN_TASKS:
        raise UserError(
            f"the adapter was trained for the task {task}, which predicts for each token and not for a text",
            where=str(folder),
            fix="Give an adapter of the task SEQ_CLS.",
        )
    if any(name.startswith(_HEADS) for name in parts.others) or (task in ("SEQ_CLS", None) and not head & new):
        return
    kind = f" (it was trained for the task {task})" if task not in ("SEQ_CLS", None) else ""
    raise UserError(
        f"the adapter has no classification head{kind}, and neither has the base"
        if head & new
        else f"the adapter has no classification head{kind}: it does not classify texts",
        where=str(folder),
        fix="Give an adapter of the task SEQ_CLS; or merge it with PEFT (merge_and_unload) and train a classifier on "
        "the merged model.",
    )


def _expected_biases(
    classifier: PackedClassifier, config: dict[str, Any], shape: LoraShape | None
) -> dict[str, list[int]]:
    """The biases of the base that PEFT trains with `bias: all` or `lora_only`: name -> shape."""
    kind, head = config.get("bias"), set(head_parameters(classifier.model, classifier.family))
    biases = {name: list(p.shape) for name, p in classifier.model.named_parameters() if name.endswith(".bias")}
    if kind == "all":
        return {name: size for name, size in biases.items() if name not in head}
    adapted = {f"{name}.bias" for name in (shape.names if shape is not None and kind == "lora_only" else ())}
    return {name: size for name, size in biases.items() if name in adapted}


def _check_names(
    classifier: PackedClassifier,
    config: dict[str, Any],
    expected: dict[str, list[int]],
    found: dict[str, Tensor],
    head: set[str],
    folder: Path,
) -> None:
    """Refuse tensors that are missing or that this model has no place for, with the true cause."""
    missing = sorted(set(expected) - set(found) - (head - classifier.initialized))
    never_saved = [name for name in missing if name in head]
    if never_saved and head & found.keys():
        parts = sorted({name.rpartition(".")[0] for name in never_saved})
        if not {f"{part}.weight" for part in parts} & found.keys():
            raise UserError(
                f"the adapter lacks {never_saved[0]!r}: this part of the head was random when training began, and PEFT "
                f"saved only {sorted({name.rpartition('.')[0] for name in head & found.keys()})}. What the adapter "
                "predicted cannot be computed again",
                where=str(folder),
                fix=f"Train it again with modules_to_save={_head_modules(classifier)}; or give the "
                "model it was trained on, if it was saved with its head.",
            )
    if missing and missing[0].endswith(".bias") and missing[0] not in head and not missing[0].endswith("lora_B.bias"):
        raise UserError(
            f"the adapter's biases were trained (bias={config.get('bias')!r}), but {missing[0]!r} is not stored",
            where=str(folder),
            fix="Some versions of PEFT did not save them. Save the trained model again with PEFT 0.21 or later.",
        )
    surplus = sorted(set(found) - set(expected))
    for name in surplus:
        _check_surplus(classifier.model, name, found[name], config, folder)
    if missing:
        raise UserError(f"the adapter lacks {missing[0]!r}", where=str(folder), fix="The adapter's file is incomplete.")


def _check_surplus(model: nn.Module, name: str, tensor: Tensor, config: dict[str, Any], folder: Path) -> None:
    """Refuse a tensor that this model has no place for, unless it is the base's own, unchanged."""
    if "lora_embedding_" in name:
        raise UserError(f"the adapter has LoRA on the embeddings ({name})", where=str(folder), fix=MERGE)
    if "trainable_tokens" in name or "token_adapter" in name:
        raise UserError(f"the adapter has trained single tokens ({name})", where=str(folder), fix=MERGE)
    own = dict(model.named_parameters()).get(name.replace(".base_layer.", "."))
    module = name.replace(".base_layer.", ".").rpartition(".")[0]
    if own is not None and own.shape == tensor.shape:
        if torch.equal(own.detach().float().cpu(), tensor):
            return  # the base's own values, which change nothing
        raise UserError(
            f"the adapter has a trained copy of {module!r}, which is no part of the classification head "
            f"(modules_to_save={config.get('modules_to_save')})",
            where=str(folder),
            fix=MERGE,
        )
    if own is not None and own.ndim == tensor.ndim == 2 and own.shape[1] == tensor.shape[1]:
        raise UserError(
            f"the vocabulary was changed when the adapter was trained: {module} has {tensor.shape[0]:,} rows, the "
            f"base's {own.shape[0]:,}",
            where=str(folder),
            fix=MERGE,
        )
    fix = made_for(config) if own is not None else MERGE
    raise UserError(f"the adapter has {name!r}, which this model does not have", where=str(folder), fix=fix)


def _wrong_shape(
    name: str,
    stored: list[int],
    needed: list[int],
    classifier: PackedClassifier,
    config: dict[str, Any],
    folder: Path,
) -> UserError:
    fix = made_for(config)
    if 0 in stored:
        fix = "It is empty: DeepSpeed's or FSDP's shards were not gathered when it was saved. Save it again."
    elif name.endswith((".lora_A", ".lora_B")) and stored[name.endswith(".lora_A")] == needed[name.endswith(".lora_A")]:
        fix = "The rank in its config (r, rank_pattern) is another than that of its tensors."
    elif name.startswith(f"{classifier.family.class_rows}.") and stored[1:] == needed[1:]:
        fix = f"It has {stored[0]} classes, and {needed[0]} are given: {', '.join(classifier.label_names)[:200]}."
    return UserError(
        f"{name} has shape {stored}, this model and the adapter's config need {needed}", where=str(folder), fix=fix
    )


def _head_modules(classifier: PackedClassifier) -> list[str]:
    return [name.rpartition(".")[2] for name in classifier.family.head_modules]
