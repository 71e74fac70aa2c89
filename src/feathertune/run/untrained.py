"""The model of a run as it was before training: what the stage `before` of its evaluation predicted with."""

from __future__ import annotations

from dataclasses import replace

from feathertune.errors import UserError
from feathertune.evaluation.calibration import choose_decision
from feathertune.folders.inputs import DataRecord
from feathertune.folders.opened import OpenedRun
from feathertune.model.base import load_base
from feathertune.model.padding import fit_padding
from feathertune.prediction.decision import Decision
from feathertune.prediction.files import read_predictions
from feathertune.prediction.inference import predict_logits
from feathertune.recipe.schema import BASELINES
from feathertune.run.load import TrainedModel, run_tokenizer_of, unchanged_base
from feathertune.stats.probabilities import BINARY_THRESHOLD
from feathertune.system.machine import default_device


def load_untrained(opened: OpenedRun, base: str | None = None) -> TrainedModel:
    """The base of a run with a head that knows nothing: initialized from the recipe's seed, as training began with it.

    Args:
        opened: the run.
        base: where its base model is now; see `load_trained`.

    Raises:
        UserError: there is no such model (an adapter, a baseline, a run that started from another); or the base cannot
            be found, or has changed.
    """
    folder, recipe = opened.folder, opened.recipe
    if opened.is_adapter or recipe.method in BASELINES:
        kind = "an adapter" if opened.is_adapter else f"the baseline {recipe.method}"
        raise UserError(f"{kind} has no model from before training", where=str(folder.path))
    if recipe.init_from is not None:
        raise UserError(
            f"before training, this run was {recipe.init_from}", where=str(folder.path), fix="Give that folder instead."
        )
    files = unchanged_base(folder, base)
    classifier = load_base(files, DataRecord.read(folder.data).label_names, recipe.training.seed)
    tokenizer = run_tokenizer_of(recipe.model, folder.adapter, files)
    fit_padding(classifier, tokenizer)
    classifier.to(default_device()).eval()
    tokenizer.model_max_length = recipe.model.max_length
    trained = TrainedModel(folder, recipe, classifier, tokenizer, recipe.model.max_length)
    return replace(trained, decision=_decision(trained))


def _decision(trained: TrainedModel) -> Decision:
    """How its logits were evaluated: what is chosen on validation is chosen for each stage, and stored for the last."""
    section = trained.recipe.evaluation
    stored = read_predictions(trained.run.predictions("before", "validation"), "validation", BINARY_THRESHOLD)
    if section.temperature or section.maximize is not None:
        logits_NC = predict_logits(trained.classifier, trained.tokenize(list(stored.texts)))
        stored = replace(stored, logits_NC=logits_NC, saved_probabilities_NC=None, saved_predicted_N=None)
    return choose_decision(stored, section)
