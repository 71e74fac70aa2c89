"""A run that trains no transformer: a baseline fitted to train, evaluated on every other split, in a run folder."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from feathertune.baselines.bag_of_words import BagOfWordsBaseline
from feathertune.baselines.baseline import Baseline, baseline_logits
from feathertune.baselines.files import load_baseline, save_baseline
from feathertune.baselines.majority import MajorityBaseline
from feathertune.data.example import Dataset, Split
from feathertune.data.loading import load_dataset
from feathertune.data.statistics import describe
from feathertune.evaluation.calibration import apply_decision, check_threshold, describe_calibration
from feathertune.evaluation.error_analysis import describe_errors
from feathertune.evaluation.metrics import compute_metrics, majority_baseline
from feathertune.folders.run import RunFolder
from feathertune.prediction.files import write_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.files import dump_recipe
from feathertune.recipe.schema import EvaluationSection, Recipe
from feathertune.report.run_report import write_run_report
from feathertune.system.files import write_json, write_text
from feathertune.system.machine import describe_environment, peak_memory_mib
from feathertune.training.reporter import Reporter


def train_baseline(recipe: Recipe, run: RunFolder, reporter: Reporter, command: str | None) -> dict[str, Any]:
    """Fit the recipe's baseline and leave a finished run folder. Returns the content of its summary.json.

    There is nothing before training, and no checkpoint: it takes seconds. What answers is what was read from the file.
    """
    dataset = load_baseline_data(recipe)
    _write_inputs(run, recipe, dataset, command)
    train = dataset.splits["train"]
    reporter.say(f"fitting the baseline {recipe.method!r} to {len(train):,} examples")
    began = time.perf_counter()
    fitted = _fit(recipe, train, dataset.label_names)
    seconds = time.perf_counter() - began
    save_baseline(run.baseline, fitted)
    baseline = load_baseline(run.baseline)
    raw = {name: _answer(baseline, split) for name, split in dataset.splits.items() if name != "train"}
    # A threshold would make the majority class answer another one.
    section = EvaluationSection() if recipe.method == "majority" else recipe.evaluation
    decided = apply_decision(raw, section)
    write_json(run.calibration, describe_calibration(raw, decided, section))
    after, majority = {}, {}
    for name, answers in decided.items():
        after[name] = compute_metrics(answers).to_json()
        majority[name] = majority_baseline(train.labels, answers).to_json()
        write_predictions(run.predictions("after", name), answers)
        write_json(run.evaluation("after", name), after[name])
        write_json(run.errors(name), describe_errors(answers))
    summary = {
        "method": recipe.method,
        "model": None,
        "label_names": list(dataset.label_names),
        "trainable_parameters": fitted.trained_numbers,
        "total_parameters": fitted.trained_numbers,
        "epochs": 0,
        "best_epoch": 0,
        "best_metric": recipe.training.best_metric,
        "precision": "fp64",
        "stopped_early": False,
        "train_seconds": seconds,
        "train_examples_per_second": len(train) / seconds,
        "peak_memory_mib": peak_memory_mib(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "majority": majority,
        "before": {},
        "after": after,
    }
    write_run_report(run, summary)
    write_json(run.summary, summary)
    return summary


def load_baseline_data(recipe: Recipe) -> Dataset:
    """The splits, checked before anything is written. Raises UserError for what is wrong with data or recipe."""
    dataset = load_dataset(recipe.data, recipe.training.seed)
    check_threshold(recipe.evaluation, dataset.label_names)
    return dataset


def _fit(recipe: Recipe, train: Split, label_names: tuple[str, ...]) -> Baseline:
    if recipe.method == "majority":
        return MajorityBaseline.fit(train.labels, label_names)
    return BagOfWordsBaseline.fit(train.texts.to_pylist(), train.labels, label_names, recipe.training.seed)


def _answer(baseline: Baseline, split: Split) -> Predictions:
    return Predictions.of_split(split, baseline.label_names, baseline_logits(baseline, split.texts.to_pylist()))


def _write_inputs(run: RunFolder, recipe: Recipe, dataset: Dataset, command: str | None) -> None:
    run.path.mkdir(parents=True, exist_ok=True)
    write_text(run.recipe, dump_recipe(recipe))
    write_text(run.metrics, "")  # it has no steps
    write_json(run.environment, describe_environment(command))
    write_json(run.data, describe(dataset, None))
