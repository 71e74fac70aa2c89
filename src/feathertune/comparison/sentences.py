"""What a comparison says in sentences: the budget that all methods had, the results, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feathertune.comparison.plan import PlannedRun
from feathertune.recipe.schema import BASELINES, Method, Recipe
from feathertune.stats.paired import TITLES
from feathertune.system.files import read_json
from feathertune.wording.duration import duration

NAMES: dict[str, str] = {
    "majority": "the majority class",
    "bag_of_words": "the bag of words",
    "head": "the head alone",
    "full": "full fine-tuning",
    "lora": "LoRA",
    "qat": "LoRA + QAT",
}


def learning_rate(recipe: Recipe) -> float | None:
    """What a run was trained with; None for a baseline, or where nothing was trained."""
    if recipe.method in BASELINES:
        return None
    if recipe.method == "qat" and recipe.quantize is not None:
        rounds_only = recipe.quantize.training == "ptq"
        return None if rounds_only else recipe.quantize.learning_rate or recipe.training.learning_rate
    return recipe.training.learning_rate


def budget(recipes: Mapping[Method, Recipe]) -> list[str]:
    """The rule by which all methods had the same chance."""
    sentences = ["All methods were trained on the same examples and asked about the same examples."]
    if trained := [recipe for method, recipe in recipes.items() if method not in BASELINES]:
        training = trained[0].training
        step_size = training.batch_size * training.gradient_accumulation_steps
        patience = training.early_stopping_patience
        stop = "no early stopping" if patience is None else f"a stop after {patience} epochs that are no better"
        epochs = "1 epoch" if training.epochs == 1 else f"{training.epochs} epochs"
        most = "" if training.max_steps is None else f", at most {training.max_steps:,} steps,"
        sentences.append(
            f"Each trains {epochs}{most} in steps of {step_size} examples, "
            f"with the {training.schedule} schedule and {stop}, and keeps the epoch of the best "
            f"{TITLES[training.best_metric]} on validation; so figures on validation are a little too good."
        )
    rates = {method: learning_rate(recipe) for method, recipe in recipes.items()}
    if shown := [f"{NAMES[method]} {rate:g}" for method, rate in rates.items() if rate is not None]:
        sentences.append(f"Learning rates were given or derived from the recipe's, not searched: {', '.join(shown)}.")
    if "qat" in recipes and (section := recipes["qat"].quantize) is not None:
        epochs = "1 more epoch" if section.epochs == 1 else f"{section.epochs} more epochs"
        more = epochs if section.training == "qat" else "no further training"
        sentences.append(
            f"{NAMES['qat']} goes on from the same seed's LoRA run, with {more}, to {section.weights} weights; its "
            "training time includes that run's."
        )
    if any(recipe.evaluation.chooses for recipe in recipes.values()):
        sentences.append(
            "Each method's temperature or threshold was chosen on validation; there every half of the examples is "
            "answered by what was chosen on the other."
        )
    if "bag_of_words" in recipes:
        sentences.append("The bag of words has its regularization from cross-validation on train.")
    return sentences


def sentences(
    pairs: Sequence[Mapping[str, Any]], methods: Sequence[Mapping[str, Any]], splits: Sequence[str]
) -> list[str]:
    """The accuracy of every pair on every split, and LoRA's time beside full fine-tuning's."""
    told = [
        f"{pair['split']}: {pair['sentence']}" for split in splits for pair in pairs
        if pair["split"] == split and pair["metric"] == "accuracy"
    ]  # fmt: skip
    seconds = {method["method"]: method["train_seconds"] for method in methods}
    if {"lora", "full"} <= seconds.keys():
        lora, full = seconds["lora"], seconds["full"]
        told.append(
            f"LoRA trained in {duration(lora)}, full fine-tuning in {duration(full)}: {lora / full:.2f} of its time"
        )
    return told


def notes(runs: Sequence[PlannedRun]) -> list[str]:
    """What a reader has to beware of."""
    found = []
    for what, keys in (("machines", ("processor", "threads", "accelerator")), ("versions", ("packages",))):
        environments = [read_json(run.folder.environment) for run in runs]
        if any(environment[key] != environments[0][key] for environment in environments for key in keys):
            found.append(f"The runs were made with different {what}: compare times, speed and memory with care.")
    if len({run.seed for run in runs}) == 1:
        found.append("One seed: the intervals know only of the choice of examples, not of the luck of training.")
    return found
