"""Opening what a run left: base and adapter (or the whole model), with the guarantee that the base is the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.files import read_json
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.peft_files import load_adapter
from feathertune.model.sources import BaseFiles, find_base
from feathertune.recipe import Recipe, load_recipe
from feathertune.run_folder import RunFolder, open_run
from feathertune.tokens.loading import load_tokenizer


@dataclass(frozen=True)
class TrainedModel:
    """A finished run's model, ready to predict.

    Attributes:
        run: the folder it came from.
        recipe: the run's.
        classifier: with the trained weights, in evaluation mode.
        tokenizer: the base model's.
        max_length: tokens; longer texts are cut.
    """

    run: RunFolder
    recipe: Recipe
    classifier: PackedClassifier
    tokenizer: Any
    max_length: int


def load_trained(path: Path, base: str | None = None) -> TrainedModel:
    """Open the finished run at `path`.

    Args:
        base: where the base model is now, if it is no longer where the run found it (any model source).

    Raises:
        UserError: no finished run there, the base cannot be found, or its weights are not those trained on.
    """
    run = open_run(path)
    recipe = load_recipe(run.recipe)
    label_names = tuple(read_json(run.data)["label_names"])
    if recipe.method == "full":
        files = find_base(str(run.model.resolve()))
        classifier = load_base(files, label_names, recipe.training.seed)
    else:
        files = _same_base(run, base)
        classifier = load_base(files, label_names, recipe.training.seed)
        load_adapter(classifier, run.adapter)
    tokenizer = load_tokenizer(files.folder, files.gguf_file)
    classifier.to(_device()).eval()
    return TrainedModel(run, recipe, classifier, tokenizer, recipe.model.max_length)


def _same_base(run: RunFolder, base: str | None) -> BaseFiles:
    """The base's files, refused unless their checksums are those in base.json."""
    stored = read_json(run.base)
    try:
        files = find_base(base or stored["source"], None if base else stored["revision"], relative_to=run.path)
    except UserError as error:
        raise UserError(
            f"the run's base model cannot be found: {error.what}",
            where=error.where,
            fix=(error.fix + " " if error.fix else "") + "Or say where it is now with --base.",
        ) from None
    found, wanted = files.checksums(), stored["sha256"]
    if sorted(found.values()) != sorted(wanted.values()):
        name = next((name for name, value in found.items() if value not in wanted.values()), "a weight file")
        raise UserError(
            f"the base model is not the one this run was trained on: the sha256 of {name} differs",
            where=str(files.folder),
            fix="Give the original base with --base; its checksums are in the run's base.json.",
        )
    return files


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
