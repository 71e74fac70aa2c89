"""Evaluating a finished run again: on a split of its own data, or on other labelled data."""

from __future__ import annotations

from pathlib import Path

from feathertune.data.example import Split
from feathertune.data.loading import load_dataset, load_split
from feathertune.errors import UserError
from feathertune.evaluation.inference import predict_split
from feathertune.evaluation.metrics import Metrics, compute_metrics
from feathertune.recipe import Recipe
from feathertune.tokens.tokenized import tokenize
from feathertune.trained import load_trained


def evaluate_run(run: Path, *, split: str | None = None, data: Path | None = None, base: str | None = None) -> Metrics:
    """The metrics of the run at `run`, with 95% intervals.

    Args:
        split: `validation` (the default; `dev` means the same), `test` or `train`, of the data the run was made with.
        data: instead, a labelled file with the run's columns.
        base: where the base model is now (see `load_trained`).

    Raises:
        UserError: both or an unknown split given, data or base not found, a label the run does not know.
    """
    if split is not None and data is not None:
        raise UserError("give either --split or --data, not both")
    trained = load_trained(run, base)
    if data is not None:
        examples = load_split(data, trained.recipe.data, trained.classifier.label_names)
    else:
        examples = _own_split(trained.recipe, split or "validation")
    texts = tokenize(trained.tokenizer, examples.texts.to_pylist(), trained.max_length)
    return compute_metrics(predict_split(trained.classifier, examples, texts))


def _own_split(recipe: Recipe, name: str) -> Split:
    name = {"dev": "validation"}.get(name, name)
    try:
        dataset = load_dataset(recipe.data, recipe.training.seed)
    except UserError as error:
        raise UserError(
            f"the run's data cannot be read again: {error.what}",
            where=error.where,
            fix="Give the data with --data FILE.",
        ) from None
    if name not in dataset.splits:
        raise UserError(f"there is no split {name!r}", fix=f"The splits: {', '.join(dataset.splits)}.")
    return dataset.splits[name]
