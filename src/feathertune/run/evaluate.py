"""Evaluating a finished run again: on a split of its own data, or on other labelled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from feathertune.data.example import Split
from feathertune.data.loading import load_dataset, load_split
from feathertune.data.texts import iterate
from feathertune.errors import UserError
from feathertune.evaluation.calibration import apply_decision, cross_fit
from feathertune.evaluation.metrics import Metrics, compute_metrics
from feathertune.prediction.inference import predict_split
from feathertune.recipe.schema import Recipe
from feathertune.run.load import TrainedModel, load_trained
from feathertune.run.prepare import prepare
from feathertune.system.files import expanded, read_json
from feathertune.system.machine import default_device
from feathertune.tokens.tokenized import tokenize

_GIVE_DATA = "Give the labelled file to evaluate with --data FILE."


def evaluate_run(
    run: Path | str, *, split: str | None = None, data: Path | str | None = None, base: str | None = None
) -> Metrics:
    """The metrics of the run at `run`, with 95% intervals.

    Args:
        split: `validation` (the default; `dev` means the same), `test` or `train`, of the data the run was made with.
        data: instead, a labelled file with the run's columns, or a folder, whose validation split is taken.
        base: where the base model is now (see `load_trained`).

    Raises:
        UserError: both or an unknown split given, data or base not found or changed, a label the run does not know.
    """
    if split is not None and data is not None:
        raise UserError("give either --split or --data, not both")
    trained = load_trained(Path(run), base)
    if data is not None:
        examples = load_split(Path(data), trained.recipe.data, trained.classifier.label_names)
    else:
        examples = own_split(trained, split or "validation")
    texts = tokenize(trained.tokenizer, iterate(examples.texts), trained.max_length)
    raw, section = predict_split(trained.classifier, examples, texts), trained.recipe.evaluation
    chosen_here = section.chooses and data is None and examples.name == "validation"
    cross_fitted = cross_fit(raw, section) if chosen_here else None
    return compute_metrics(replace(raw, decision=trained.decision, cross_fitted=cross_fitted))


def evaluate_untrained(recipe: Recipe, *, split: str = "validation") -> Metrics:
    """The metrics of a recipe's model before any training, which `train` will measure again: a base with a new head.

    Raises UserError as `train` does before it writes anything, or where there is no such split.
    """
    job = prepare(recipe, default_device())
    name = {"dev": "validation"}.get(split, split)
    if name not in job.dataset.splits:
        raise UserError(f"there is no split {name!r}", fix=f"The splits: {', '.join(job.dataset.splits)}.")
    needed = {name, "validation"}  # where a threshold or temperature is chosen
    raw = {
        split.name: predict_split(job.classifier, split, job.texts[split.name])
        for split in job.evaluated
        if split.name in needed
    }
    return compute_metrics(apply_decision(raw, recipe.evaluation)[name])


def own_split(trained: TrainedModel, name: str) -> Split:
    """A split of the data the run was made with; refused where that data is no longer what it was."""
    name = {"dev": "validation"}.get(name, name)
    section = trained.recipe.data
    origin = read_json(trained.run.data)["origin"]
    if "revision" in origin:
        section = section.model_copy(update={"revision": origin["revision"]})
    elif section.source != "sample" and not expanded(section.source).exists():
        raise UserError("the run's data is not here any more", where=section.source, fix=_GIVE_DATA)
    try:
        dataset = load_dataset(section, trained.recipe.training.seed)
    except UserError as error:
        raise UserError(
            f"the run's data cannot be read again: {error.what}", where=error.where, fix=_GIVE_DATA
        ) from None
    if dataset.origin != origin:
        raise UserError("the data is not what the run was made with", where=section.source, fix=_GIVE_DATA)
    if name not in dataset.splits:
        raise UserError(f"there is no split {name!r}", fix=f"The splits: {', '.join(dataset.splits)}.")
    return dataset.splits[name]
