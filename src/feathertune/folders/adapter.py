"""The folder of an adapter as PEFT or a Trainer leaves it: a model without a run, so its recipe is made up from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.folders.export import ExportDescription, ExportFolder
from feathertune.folders.run import RunFolder
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.system.files import read_json

UNKNOWN = "unknown"  # the source of the data that an adapter was trained on, or of a base that it does not name
ADAPTER_CONFIG, _TOKENIZER = "adapter_config.json", "tokenizer_config.json"
_LABELS = ("data.label=", "data.label.rating", "data.label.column")
_SETTINGS = ("model.max_length", "model.prompt", "model.special_tokens_in_text", "data.text", "data.label")


@dataclass(frozen=True)
class AdapterFolder(RunFolder):
    """Names inside the folder of an adapter. It has nothing else of a run."""

    @property
    def adapter(self) -> Path:
        """The folder itself."""
        return self.path

    @property
    def exported(self) -> ExportDescription | None:
        """The content of export.json, if the adapter was exported from a run. Raises UserError if it is damaged."""
        path = ExportFolder(self.path).description
        return ExportDescription.read(path) if path.is_file() else None


def is_adapter(path: Path) -> bool:
    """Whether `path` is the folder of an adapter, and no run."""
    return (path / ADAPTER_CONFIG).is_file() and not RunFolder(path).recipe.is_file()


def adapter_inside(path: Path) -> Path | None:
    """The last adapter in a folder of several, such as a Trainer's checkpoints; None if there is none."""
    found = [one.parent for one in path.glob(f"*/{ADAPTER_CONFIG}")]
    return max(found, key=lambda folder: (len(folder.name), folder.name), default=None)


def adapter_recipe(path: Path, settings: list[str]) -> Recipe:
    """What is known about an adapter, as the recipe of a run: its base, and `settings`.

    Args:
        path: the adapter's folder.
        settings: `key=value` for the keys of a recipe about texts and labels.

    Raises:
        UserError: adapter_config.json is no JSON mapping, or a setting is wrong or about something else.
    """
    for setting in settings:
        if not setting.startswith(_SETTINGS):
            raise UserError(
                f"--set {setting}: of an adapter, only texts and labels can be described",
                fix=f"The keys: {', '.join(_SETTINGS)}. For example: --set data.label.names=[FIRST,SECOND]",
            )
    config = read_json(path / ADAPTER_CONFIG)
    if not isinstance(config, dict):
        raise UserError("this is no adapter's config", where=str(path / ADAPTER_CONFIG))
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    model: dict[str, Any] = {"source": base if isinstance(base, str) and base else UNKNOWN}
    if isinstance(revision, str) and revision:
        model["revision"] = revision
    tokenizer = read_json(path / _TOKENIZER) if (path / _TOKENIZER).is_file() else {}
    if isinstance(tokenizer, dict) and "split_special_tokens" in tokenizer:  # saved by a run or an export
        model["special_tokens_in_text"] = "text" if tokenizer["split_special_tokens"] else "parse"
    data: dict[str, Any] = {"source": UNKNOWN}
    if (exported := AdapterFolder(path).exported) is not None:
        model["max_length"], data = exported.max_length, exported.data.model_dump(mode="json")
    if "label" not in data and not any(setting.startswith(_LABELS) for setting in settings):
        data["label"] = {"column": "label"}  # the default, spelt out so that a setting can add names to it
    text = json.dumps({"model": model, "data": data, "method": "lora"})
    return parse_recipe(text, settings, where=str(path))
