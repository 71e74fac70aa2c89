"""The finished run that a recipe starts from (`init_from`): finding it, and checking that it fits."""

from __future__ import annotations

from feathertune.data.example import Dataset
from feathertune.errors import UserError
from feathertune.folders.adapter import AdapterFolder
from feathertune.folders.inputs import BaseRecord, DataRecord
from feathertune.folders.opened import OpenedRun
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import StartSummary, Summary
from feathertune.model.adapt import LoraShape
from feathertune.model.classifier import PackedClassifier
from feathertune.model.peft_files import check_adapter, check_continuable, read_labels
from feathertune.model.sources import changed_file
from feathertune.recipe.schema import Recipe
from feathertune.system.files import expanded


def find_start(recipe: Recipe, dataset: Dataset, checksums: dict[str, str]) -> RunFolder:
    """The finished run, or the adapter as PEFT leaves it, at `init_from`.

    An adapter's base is known by name only, so that it fits is found out when it is loaded.

    Args:
        recipe: the recipe that starts from it.
        dataset: the new run's data.
        checksums: of the new run's base: file -> sha256.

    Raises:
        UserError: there is no such run; its method, base, prompt or classes do not fit; or it was trained on examples
            of the new run's validation split.
    """
    path = str(recipe.init_from)
    start = OpenedRun.at(expanded(path))
    run, earlier = start.folder, start.recipe
    if start.is_adapter:
        check_continuable(run.adapter)
        names = read_labels(run.adapter)
        if names is not None and names != dataset.label_names:
            raise UserError(f"the adapter has the classes {names}, the data {dataset.label_names}", where=path)
        return run
    if earlier.method not in ("lora", "qat"):
        raise UserError(
            f"the run was trained with method {earlier.method}, not lora", where=path, fix="Start from a lora run."
        )
    if changed_file(BaseRecord.read(run.base).sha256, checksums) is not None:
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
    if dataset.validation_made and DataRecord.read(run.data).origin == dataset.origin:
        _check_same_validation(recipe, earlier, path)
    return run


def describe_start(start: RunFolder, dataset: Dataset) -> StartSummary | None:
    """What a report needs to know about the run that another starts from, since it may be deleted by then.

    None for an adapter, of which nothing is known. If training had several epochs (or that of the run's own start had),
    the epoch was chosen on validation.
    """
    if isinstance(start, AdapterFolder):
        return None
    earlier = Summary.read(start.summary)
    epochs = max(earlier.epochs, 0 if earlier.start is None else earlier.start.epochs)
    return StartSummary(epochs=epochs, same_data=DataRecord.read(start.data).origin == dataset.origin)


def adapter_shape(classifier: PackedClassifier, start: RunFolder) -> LoraShape:
    """The shape of the run's LoRA layers. Raises UserError if it has none, or if they do not fit the classifier."""
    shape = check_adapter(classifier, start.adapter)
    if shape is None:
        raise UserError("the run to start from has no LoRA factors", where=str(start.adapter))
    return shape


def _check_same_validation(recipe: Recipe, earlier: Recipe, path: str) -> None:
    """Raise a UserError if validation is made from train, but of other examples than for the run to start from.

    That run was trained on most of them, so the metrics on validation would be too good.
    """
    (fraction, seed), (earlier_fraction, earlier_seed) = _validation(recipe), _validation(earlier)
    if (fraction, seed) != (earlier_fraction, earlier_seed):
        raise UserError(
            "the run to start from was trained on texts of this recipe's validation split: validation is made from "
            f"train, there {earlier_fraction:g} of it with seed {earlier_seed}, here {fraction:g} with seed {seed}",
            where=path,
            fix=f"Set data.validation_fraction={earlier_fraction:g} and data.validation_seed={earlier_seed}.",
        )


def _validation(recipe: Recipe) -> tuple[float, int]:
    """The share of train that becomes validation, and the seed that chooses it."""
    seed = recipe.data.validation_seed
    return recipe.data.validation_fraction, recipe.training.seed if seed is None else seed
