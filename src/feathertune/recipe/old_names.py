"""Names of earlier versions: keys and values that have another name now. Recipes with either are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

OLD_KEYS = {
    "accumulation": "gradient_accumulation_steps",
    "warmup": "warmup_ratio",
    "gradient_clip": "max_grad_norm",
    "early_stopping": "early_stopping_patience",
    "checkpoint_activations": "gradient_checkpointing",
}
BOTH_NAMES = "both_names"  # pydantic's name for the error; its context holds `old` and `new`


def renamed_value(old: str, new: str) -> BeforeValidator:
    """A validator that reads the value `old` as `new`."""
    return BeforeValidator(lambda value: new if value == old else value)


def new_key(key: str) -> str:
    """A key, or a dotted path of keys, by its name of today."""
    return ".".join(OLD_KEYS.get(part, part) for part in key.split("."))


def spellings(key: str) -> list[str]:
    """Every name that a key, or the last one of a dotted path, has or had: today's first."""
    path, dot, last = key.rpartition(".")
    new = OLD_KEYS.get(last, last)
    return [path + dot + name for name in (new, *(old for old, name in OLD_KEYS.items() if name == new))]


def rename_keys(values: Mapping[Any, Any], known: Collection[str] | None = None) -> dict[Any, Any]:
    """The mapping with its keys by their names of today, if those are `known` (None: all are).

    Raises:
        PydanticCustomError: a key is given by both its names.
    """
    renamed: dict[Any, Any] = {}
    for key, value in values.items():
        new = new_key(key) if isinstance(key, str) else key
        if known is not None and new not in known:
            new = key
        if new != key and new in values:
            raise PydanticCustomError(
                BOTH_NAMES, "`{old}` is the old name of `{new}`, and both are given", {"old": key, "new": new}
            )
        renamed[new] = value
    return renamed
