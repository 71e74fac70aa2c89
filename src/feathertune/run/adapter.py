"""What a run records about its model and an adapter's folder lacks: base, classes, tokenizer, maximum length.

PEFT stores none of them but the base's name. The classes are those of labels.json (ours), of a config.json in the
adapter's folder, of the base's own config, or of the labelled data.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from feathertune.data.other_data import labels_in
from feathertune.errors import UserError
from feathertune.folders.adapter import UNKNOWN, AdapterFolder
from feathertune.folders.opened import OpenedRun
from feathertune.folders.run import RunFolder
from feathertune.model.base_folder import check_real
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import FAMILIES
from feathertune.model.peft_files import read_adapter, read_labels
from feathertune.model.sources import BaseFiles, find_base, is_hub_id
from feathertune.prediction.decision import Decision
from feathertune.recipe.schema import DataSection, ModelSection
from feathertune.run.checks import check_max_length, longest_text
from feathertune.system.files import read_json
from feathertune.tokens.loading import TOKENIZER, VOCABULARIES, has_tokenizer

_GENERIC = re.compile(r"LABEL_\d+")  # transformers' name for a class without a name
_NAME_THEM = "Give their names in the order of the model's outputs: --set 'data.label.names=[FIRST,SECOND]'"
_HEADS = sorted({family.class_rows for family in FAMILIES.values()}, key=len, reverse=True)


def adapter_base(opened: OpenedRun, base: str | None) -> BaseFiles:
    """The base's files: at `base` if that is given, else the one that the adapter's config names. Raises UserError."""
    named, where = opened.recipe.model, str(opened.folder.path)
    if base is not None:
        return find_base(base)
    if named.source == UNKNOWN:
        raise UserError("the adapter names no base model", where=where, fix="Give it with --base.")
    try:
        return find_base(named.source, named.revision if is_hub_id(named.source) else None)
    except UserError as error:
        raise UserError(
            f"the adapter's base model cannot be used: {error.what}",
            where=error.where,
            fix=(error.fix + " " if error.fix else "") + "Or give its location with --base.",
        ) from None


def adapter_classes(opened: OpenedRun, base: BaseFiles) -> tuple[str, ...]:
    """The class names of an adapter, in the order of its outputs; LABEL_0, LABEL_1 ... where nothing names them.

    Raises:
        UserError: the head has a single output, or one for each of several labels; or the names in the recipe are not
            as many as the outputs.
    """
    folder = opened.folder.adapter
    own, bases = _config(folder), {} if base.gguf_file else _config(base.folder)
    count = _outputs(read_adapter(folder))
    problem = own.get("problem_type") or (bases.get("problem_type") if count is None else None)
    if count == 1 or problem in ("regression", "multi_label_classification"):
        kind = "several labels for each text" if problem == "multi_label_classification" else "a number (regression)"
        raise UserError(
            f"the adapter predicts {kind}, not one of several classes", where=str(folder), fix="Give a classifier."
        )
    given = opened.recipe.data.label.names
    if given is not None and count not in (None, len(given)):
        raise UserError(f"{len(given)} names are given for {count} classes", where=str(folder), fix=_NAME_THEM)
    for names in (given, read_labels(folder), _names(own), _names(bases)):
        if names and count in (None, len(names)) and not all(map(_GENERIC.fullmatch, names)):
            return names
    return tuple(f"LABEL_{index}" for index in range(count or int(bases.get("num_labels") or len(_names(bases)) or 2)))


def adapter_decision(folder: RunFolder) -> Decision | None:
    """How the logits of an adapter that was exported from a run become predictions; None for any other folder."""
    exported = folder.exported if isinstance(folder, AdapterFolder) else None
    return None if exported is None else Decision(exported.temperature, exported.threshold)


def classes_for_data(
    classifier: PackedClassifier, path: Path, section: DataSection, where: str
) -> tuple[tuple[str, ...], str | None]:
    """The names by which labelled data calls an adapter's classes, in their order.

    If the classes have no names yet, they get those of the data. Raises a UserError if they are not as many.

    Returns:
        The names, and a sentence for the user if their order was assumed.
    """
    names, found = classifier.label_names, labels_in(path, section)
    if set(found) <= set(names):
        return names, None
    numbers = tuple(str(index) for index in range(len(names)))
    if set(found) <= set(numbers):
        return numbers, None
    if not all(map(_GENERIC.fullmatch, names)):
        return names, None  # reading the data names the label that is unknown
    if len(found) != len(names):
        raise UserError(
            f"the adapter has {len(names)} classes without names, and {path} has {len(found)} labels "
            f"({', '.join(found[:10])})",
            where=where,
            fix=_NAME_THEM,
        )
    rename_classes(classifier, found)
    note = (
        f"note: the adapter does not name its classes; they are taken to be {', '.join(found)}, in this order. "
        f"Otherwise: {_NAME_THEM}"
    )
    return found, note


def rename_classes(classifier: PackedClassifier, names: tuple[str, ...]) -> None:
    """Give the classes other names, in the same order."""
    classifier.model.config.id2label = dict(enumerate(names))
    classifier.model.config.label2id = {name: index for index, name in enumerate(names)}


def tokenizer_files(folder: Path, base: BaseFiles) -> tuple[Path, str | None]:
    """The folder, and the GGUF file, of an adapter's tokenizer: its own if it has one, else the base's.

    Raises a UserError if its own files are Git LFS pointers.
    """
    check_real(folder, (TOKENIZER, *VOCABULARIES, "tokenizer_config.json"))
    if has_tokenizer(folder):
        return folder, None
    return base.folder, base.gguf_file


def adapter_max_length(classifier: PackedClassifier, tokenizer: Any, section: ModelSection) -> int:
    """The tokens at which texts are cut: the recipe's if it is given, else as many as tokenizer and model allow."""
    if "max_length" in section.model_fields_set:
        check_max_length(classifier, section.max_length)
        return section.max_length
    limits = (int(min(tokenizer.model_max_length, 32768)), longest_text(classifier))
    return min(limit for limit in limits if limit is not None)


def _outputs(tensors: dict[str, torch.Tensor]) -> int | None:
    """The number of an adapter's classes, or None if it leaves the base's head as it is."""
    rows = (tensors[f"{name}.weight"].shape[0] for name in _HEADS if f"{name}.weight" in tensors)
    return next(rows, None)


def _config(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        return {}
    config = read_json(folder / "config.json")
    return config if isinstance(config, dict) else {}


def _names(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label")
    if not isinstance(names, dict):
        return ()
    return tuple(str(names[key]) for key in sorted(names, key=lambda key: int(key) if str(key).isdigit() else 0))
