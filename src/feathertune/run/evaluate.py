"""Evaluating a finished run, on a split of its data or on other labelled data; and a model before any training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from feathertune.data.example import Dataset, Split
from feathertune.data.loading import load_dataset
from feathertune.data.other_data import load_split
from feathertune.data.texts import StoredTexts
from feathertune.errors import UserError
from feathertune.evaluation.calibration import apply_decision, cross_fit
from feathertune.evaluation.metrics import compute_metrics
from feathertune.folders.adapter import AdapterFolder
from feathertune.folders.inputs import DataRecord
from feathertune.folders.metrics import Metrics
from feathertune.folders.opened import OpenedRun
from feathertune.prediction.inference import predict_split
from feathertune.recipe.schema import Recipe
from feathertune.run.adapter import classes_for_data
from feathertune.run.load import TrainedModel, load_trained
from feathertune.run.prepare import prepare
from feathertune.system.files import expanded
from feathertune.system.machine import default_device

_GIVE_DATA = "Give the labelled file to evaluate with --data FILE."


def evaluate_run(
    run: Path | str | OpenedRun,
    *,
    split: str | None = None,
    data: Path | str | None = None,
    base: str | None = None,
    say: Callable[[str], object] | None = None,
) -> Metrics:
    """The metrics of a finished run, or of an adapter as PEFT leaves it, with 95% intervals.

    Args:
        run: the folder of the run or the adapter, opened or not. An adapter needs `data`.
        split: of the run's own data: `validation` (the default, or `dev`), `test` or `train`.
        data: other data instead: a labelled file with the same columns, or a folder, whose validation split is used.
        base: where the base model is now (see `load_trained`).
        say: receives a sentence if something about an adapter, or which columns of `data` are meant, was assumed.

    Raises:
        UserError: both `split` and `data` are given, or neither for an adapter; there is no such split; data or base
            are missing or have changed; or the data has a label that the run does not know.
    """
    if split is not None and data is not None:
        raise UserError("give either --split or --data, not both")
    opened = run if isinstance(run, OpenedRun) else OpenedRun.at(Path(run))
    if opened.is_adapter and data is None:
        raise UserError("an adapter has no data of its own", where=str(opened.folder.path), fix=_GIVE_DATA)
    trained = load_trained(opened, base)
    examples = own_split(trained, split or "validation") if data is None else labelled(trained, Path(data), say)
    texts = trained.tokenize(StoredTexts(examples.texts), examples.place)
    raw, section = predict_split(trained.classifier, examples, texts), trained.recipe.evaluation
    chosen_here = section.chooses and data is None and examples.name == "validation"
    cross_fitted = cross_fit(raw, section) if chosen_here else None
    return compute_metrics(replace(raw, decision=trained.decision, cross_fitted=cross_fitted))


def evaluate_untrained(recipe: Recipe, *, split: str = "validation") -> Metrics:
    """The metrics of a recipe's model before training: the base with a new head, as `train` will evaluate it first.

    Raises the UserErrors of `train`, and one if there is no such split.
    """
    prepared = prepare(recipe, default_device())
    name = _existing(split, prepared.dataset)
    needed = {name, "validation"}  # a threshold or temperature is chosen on validation
    raw = {
        one.name: predict_split(prepared.classifier, one, prepared.texts[one.name])
        for one in prepared.evaluated
        if one.name in needed
    }
    return compute_metrics(apply_decision(raw, recipe.evaluation)[name])


def labelled(trained: TrainedModel, path: Path, say: Callable[[str], object] | None = None) -> Split:
    """Labelled data, by the rules of the run; for an adapter whose classes have no names, they get the data's.

    Raises the UserErrors of `load_split`, and one if such data has another number of labels.
    """
    names = trained.classifier.label_names
    if isinstance(trained.run, AdapterFolder):
        names, note = classes_for_data(trained.classifier, path, trained.recipe.data, str(trained.run.path))
        if note is not None and say is not None:
            say(note)
    return load_split(path, trained.recipe.data, names, say)


def own_split(trained: TrainedModel, name: str) -> Split:
    """A split of the data that the run was made with. Raises UserError if the data is missing or has changed."""
    section = trained.recipe.data
    origin = DataRecord.read(trained.run.data).origin
    if "revision" in origin:
        section = section.model_copy(update={"revision": origin["revision"]})
    elif section.source != "sample" and not expanded(section.source).exists():
        raise UserError("the run's data is no longer here", where=section.source, fix=_GIVE_DATA)
    try:
        dataset = load_dataset(section, trained.recipe.training.seed)
    except UserError as error:
        raise UserError(
            f"the run's data cannot be read again: {error.what}", where=error.where, fix=_GIVE_DATA
        ) from None
    if dataset.origin != origin:
        raise UserError("the data has changed since the run", where=section.source, fix=_GIVE_DATA)
    return dataset.splits[_existing(name, dataset)]


def _existing(name: str, dataset: Dataset) -> str:
    """The split of that name, where `dev` means validation. Raises UserError if there is none."""
    name = {"dev": "validation"}.get(name, name)
    if name not in dataset.splits:
        raise UserError(f"there is no split {name!r}", fix=f"The splits: {', '.join(dataset.splits)}.")
    return name
