"""The finished run that a recipe goes on from (`init_from`): found, and refused where it cannot be."""

from __future__ import annotations

from typing import Any

from feathertune.data.example import Dataset
from feathertune.errors import UserError
from feathertune.folders.run import RunFolder, open_run
from feathertune.model.adapt import LoraShape
from feathertune.model.classifier import PackedClassifier
from feathertune.model.peft_files import check_adapter, read_labels
from feathertune.model.sources import changed_file
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import Recipe
from feathertune.system.files import expanded, read_json


def find_start(recipe: Recipe, dataset: Dataset, checksums: dict[str, str]) -> RunFolder:
    """The finished run at `init_from`, to go on from.

    Args:
        checksums: the base's, file -> sha256.

    Raises:
        UserError: its base, prompt or classes are others, or it was trained on what would be this run's validation.
    """
    path = str(recipe.init_from)
    run = open_run(expanded(path))
    earlier = load_recipe(run.recipe)
    method = earlier.method
    if method not in ("lora", "qat"):
        raise UserError(f"the run was made with method {method}, not lora", where=path, fix="Start from a lora run.")
    if changed_file(read_json(run.base)["sha256"], checksums) is not None:
        raise UserError(
            "the run to start from was trained on another base model",
            where=path,
            fix="Give the same model.source as that run's recipe.yaml.",
        )
    if earlier.model.prompt != recipe.model.prompt:
        raise UserError(
            f"the run to start from was trained with the prompt {earlier.model.prompt!r}",
            where=path,
            fix="Give the same model.prompt as that run's recipe.yaml.",
        )
    if (names := read_labels(run.adapter)) != dataset.label_names:
        raise UserError(f"the run to start from has the classes {names}, the data {dataset.label_names}", where=path)
    if dataset.validation_made and read_json(run.data)["origin"] == dataset.origin:
        _check_same_validation(recipe, earlier, path)
    return run


def describe_start(start: RunFolder, dataset: Dataset) -> dict[str, Any]:
    """What a report has to say of the run that another goes on from, which may be gone by then. JSON-ready.

    With several epochs, its own or its start's, it was chosen on validation already.
    """
    earlier = read_json(start.summary)
    epochs = max(earlier["epochs"], earlier.get("start", {}).get("epochs", 0))
    return {"epochs": epochs, "same_data": read_json(start.data)["origin"] == dataset.origin}


def adapter_shape(classifier: PackedClassifier, start: RunFolder) -> LoraShape:
    """What the LoRA of the run adapts. Raises UserError where it has none, or it does not fit the classifier."""
    shape = check_adapter(classifier, start.adapter)
    if shape is None:
        raise UserError("the run to start from has no LoRA factors", where=str(start.adapter))
    return shape


def _check_same_validation(recipe: Recipe, earlier: Recipe, path: str) -> None:
    """Raise a UserError where validation, made from train, is another than it was for the run to start from.

    That run was trained on most of it, and would look better than it is.
    """
    (fraction, seed), (its_fraction, its_seed) = _validation(recipe), _validation(earlier)
    if (fraction, seed) != (its_fraction, its_seed):
        raise UserError(
            "the run to start from was trained on texts that this recipe validates on: validation is made from train, "
            f"there {its_fraction:g} of it with seed {its_seed}, here {fraction:g} with seed {seed}",
            where=path,
            fix=f"Set data.validation_fraction={its_fraction:g} and data.validation_seed={its_seed}.",
        )


def _validation(recipe: Recipe) -> tuple[float, int]:
    """The share of train that becomes validation, and the seed that chooses it."""
    seed = recipe.data.validation_seed
    return recipe.data.validation_fraction, recipe.training.seed if seed is None else seed
