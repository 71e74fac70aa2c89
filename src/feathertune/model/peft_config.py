"""adapter_config.json: every key of PEFT's `LoraConfig` is supported, of no consequence, or refused by its name.

The keys are those of PEFT 0.21. A key of a later version may change what an adapter computes, so it is refused unless
it is empty or false.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.folders.adapter import ADAPTER_CONFIG as CONFIG
from feathertune.model.adapt import LoraShape
from feathertune.model.base_folder import check_real
from feathertune.system.files import read_json

_READ = frozenset({"r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern"})
_READ |= {"use_dora", "bias", "lora_bias", "init_lora_weights", "task_type", "base_model_name_or_path", "revision"}
_READ |= {"modules_to_save", "peft_type"}
# Which layers are adapted is read from the tensors; the rest was over when training was, or is about PEFT itself.
_WITHOUT_CONSEQUENCE = frozenset({"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"})
_WITHOUT_CONSEQUENCE |= {"auto_mapping", "fan_in_fan_out", "inference_mode", "megatron_core", "peft_version"}
_WITHOUT_CONSEQUENCE |= {"corda_config", "eva_config", "loftq_config", "lora_ga_config", "velora_config"}
_WITHOUT_CONSEQUENCE |= {"ensure_weight_tying", "qalora_group_size", "runtime_config"}
_WITHOUT_CONSEQUENCE |= {"merge_weights"}  # of PEFT 0.2: when factors were merged, not what they compute
MERGE = "Merge it with PEFT (merge_and_unload) and give the merged model as the base."
# Keys that change what an adapter computes, in ways that a plain linear layer with LoRA has not.
_REFUSED: dict[str, tuple[str, str]] = {
    "layer_replication": ("the base's layers are repeated", MERGE),
    "trainable_token_indices": ("single rows of the embeddings are trained", MERGE),
    "target_parameters": ("parameters that are not in linear layers are adapted", MERGE),
    "enable_lora": ("only some groups of a layer's outputs are adapted, as by PEFT 0.2", MERGE),
    "use_qalora": ("the base is quantized by GPTQ", MERGE),
    "use_bdlora": ("the factors are block-diagonal", MERGE),
    "kasa_config": ("the base's smallest singular values are removed", MERGE),
    "arrow_config": ("several adapters are mixed for each token", "Give one of its adapters."),
    "alora_invocation_tokens": ("it acts only after certain tokens", "Train one without them."),
    "monteclora_config": ("its factors are sampled", "Train one without sampling."),
    "megatron_config": ("its layers are Megatron's", "Train it on transformers' layers."),
}
# Initializations that leave the base's weights as they are; all others subtract something from them.
_INITIALIZATIONS = (True, False, None, "gaussian", "orthogonal", "eva", "mica", "true", "false")
_CONVERT = (
    "Merge it with PEFT (merge_and_unload) and give the merged model as the base; or save it again with PEFT's "
    "path_initial_model_for_weight_conversion."
)
_BIASES = ("none", "all", "lora_only", None)


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """The adapter's config. Raises UserError if it is missing, or uses a setting that is not supported."""
    path = folder / CONFIG
    if not path.is_file() and (inside := sorted(one.parent.name for one in folder.glob(f"*/{CONFIG}"))):
        raise UserError("the file is missing", where=str(path), fix=f"There is an adapter in {folder / inside[-1]}.")
    check_real(folder, (CONFIG,))
    config = read_json(path)
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        fix = MERGE if isinstance(kind, str) and "PROMPT" not in kind and "TUNING" not in kind else None
        raise UserError(f"the adapter is of type {kind!r}, not LORA", where=str(path), fix=fix)
    for key, value in config.items():
        if key in _REFUSED and value:
            why, fix = _REFUSED[key]
            raise _refused(key, value, path, why, fix)
        if key not in _READ | _WITHOUT_CONSEQUENCE | _REFUSED.keys() and value:
            raise _refused(key, value, path, "what it means is not known here", MERGE)
    initialized = config.get("init_lora_weights")
    if (initialized.lower() if isinstance(initialized, str) else initialized) not in _INITIALIZATIONS:
        why = "it changed the base's weights when training began"
        raise _refused("init_lora_weights", initialized, path, why, _CONVERT)
    if config.get("bias") not in _BIASES:
        raise UserError(f"bias={config['bias']!r} is none of none, all and lora_only", where=str(path))
    return dict(config)


def named_base(config: dict[str, Any]) -> str | None:
    """The base that an adapter's config names, or None."""
    name = config.get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def lora_shape(config: dict[str, Any], names: tuple[str, ...], folder: Path) -> LoraShape:
    """The settings of an adapter's LoRA layers, given their names.

    Raises:
        UserError: rank or alpha is missing or no number, or a pattern is no regular expression.
    """
    try:
        return LoraShape(
            rank=int(config["r"]),
            alpha=float(config["lora_alpha"]),
            dropout=float(config.get("lora_dropout") or 0.0),
            rslora=bool(config.get("use_rslora", False)),
            names=names,
            ranks={name: int(rank) for name, rank in _by_pattern(config.get("rank_pattern"), names)},
            alphas={name: float(alpha) for name, alpha in _by_pattern(config.get("alpha_pattern"), names)},
        )
    except (KeyError, TypeError, ValueError):
        raise UserError("the adapter's config lacks r or lora_alpha", where=str(folder / CONFIG)) from None
    except (AttributeError, re.error) as error:
        raise UserError(f"rank_pattern or alpha_pattern is broken: {error}", where=str(folder / CONFIG)) from None


def pattern_of(values: dict[str, Any]) -> dict[str, Any]:
    """PEFT's pattern for layer names with values of their own."""
    return {f"^{re.escape(name)}": value for name, value in values.items()}


def _by_pattern(patterns: Any, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Each name that a pattern matches, whole or from a dot on, with its value. The first one counts, as in PEFT."""
    found = []
    for name in names:
        values = [value for key, value in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", name)]
        found += [(name, values[0])] if values else []
    return found


def _refused(key: str, value: Any, path: Path, why: str, fix: str) -> UserError:
    return UserError(
        f"the adapter uses {key}={str(value)[:60] if not isinstance(value, str) else repr(value)}, which is not "
        f"supported: {why}",
        where=str(path),
        fix=fix,
    )
