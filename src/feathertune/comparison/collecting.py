"""What the runs of a comparison say together, from their files alone: run folders -> the content of comparison.json.

Every metric is computed anew from the prediction files, so that it can be checked, and all methods are compared on the
very same examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np

from feathertune.comparison.costs import artefact_bytes, deployed_bytes, latency_ms
from feathertune.comparison.plan import PlannedRun
from feathertune.comparison.sentences import (
    NAMES,
    budget,
    learning_rate,
    notes,
    sentences,
)
from feathertune.errors import UserError
from feathertune.evaluation.calibration import cross_fit, read_decision
from feathertune.folders.summary import Stage
from feathertune.prediction.decision import PLAIN
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.schema import EvaluationSection, Method
from feathertune.stats.paired import (
    TITLES,
    compare_pair,
    holm,
    in_words,
    interval_over_seeds,
)
from feathertune.stats.seeds import SeedPredictions
from feathertune.system.files import read_json

METRICS = tuple(TITLES)
PAIRED = ("accuracy", "f1", "roc_auc")  # in which pairs of methods are compared

ByMethod = Mapping[Method, list[PlannedRun]]


def collect(runs: Sequence[PlannedRun]) -> dict[str, Any]:
    """The comparison of finished runs, JSON-ready.

    Returns:
        label_names, seeds, splits (name -> number of examples), budget, methods, pairs, sentences,
        time_ratio_lora_full (None without both), notes. Intervals are 95%. Metrics are means over seeds, each with
        `by_seed`; costs are medians over seeds, peak_memory_mib that of a run's whole process, latency_ms and bytes
        those of the first seed's artefact. p_adjusted is Holm's over the pairs of one split and metric.

    Raises:
        UserError: the runs' predictions are not for the same examples, or a run's model is not to be found.
    """
    by_method: dict[Method, list[PlannedRun]] = {}
    for run in runs:
        by_method.setdefault(run.method, []).append(run)
    summary = read_json(runs[0].folder.summary)
    splits = list(summary["after"])
    after = {split: _answers(by_method, "after", split) for split in splits}
    before = {split: _answers(by_method, "before", split) for split in splits}
    methods = [
        {
            "method": method,
            "name": NAMES[method],
            "seeds": [run.seed for run in its_runs],
            "runs": [f"runs/{run.folder.path.name}" for run in its_runs],
            "learning_rate": learning_rate(its_runs[0].recipe),
            "metrics": {split: _metrics(after[split][method]) for split in splits},
            "before": {split: _metrics(before[split][method]) for split in splits if method in before[split]},
            **_costs(method, by_method, splits[0]),
        }
        for method, its_runs in by_method.items()
    ]
    pairs = [pair for split in splits for metric in PAIRED for pair in _pairs(after[split], split, metric)]
    return {
        "label_names": summary["label_names"],
        "seeds": sorted({run.seed for run in runs}),
        "splits": {split: summary["after"][split]["num_examples"] for split in splits},
        "budget": budget({method: its_runs[0].recipe for method, its_runs in by_method.items()}),
        "methods": methods,
        "pairs": pairs,
        "sentences": sentences(pairs, methods, splits),
        "time_ratio_lora_full": _time_ratio(methods),
        "notes": notes(runs),
    }


@dataclass(frozen=True)
class _Asked:
    """A method's answers on a split: as stored, and without the flattery of a decision that was chosen there."""

    stored: SeedPredictions
    fair: SeedPredictions

    def of(self, metric: str) -> SeedPredictions:
        """Those that a metric is computed from. Ranks need no decision, and two temperatures would mix them."""
        return self.stored if metric == "roc_auc" else self.fair


def _answers(by_method: ByMethod, stage: Stage, split: str) -> dict[Method, _Asked]:
    """The answers of every method that has this stage. Raises UserError where the examples differ."""
    first: Predictions | None = None
    answers: dict[Method, _Asked] = {}
    for method, runs in by_method.items():
        files = [run.folder.predictions(stage, split) for run in runs]
        if stage == "before" and not files[0].is_file():  # a baseline
            continue
        read = [read_predictions(file, split) for file in files]
        for file, predictions in zip(files, read, strict=True):
            first = first or predictions
            same = np.array_equal(first.rows, predictions.rows) and np.array_equal(first.labels, predictions.labels)
            if not same or first.label_names != predictions.label_names:
                raise UserError("these predictions are not for the examples of the other runs", where=str(file))
        section = runs[0].recipe.evaluation
        temperatures = [
            read_decision(run.folder.calibration, section).temperature if stage == "after" else 1.0 for run in runs
        ]
        fair = [_fair(*both, section) for both in zip(read, temperatures, strict=True)]
        answers[method] = _Asked(SeedPredictions.of(read), SeedPredictions.of(fair))
    return answers


def _fair(predictions: Predictions, temperature: float, section: EvaluationSection) -> Predictions:
    """The answers, where the recipe chose a decision on this very split each half by what the other half would choose.

    The file's probabilities were made with `temperature`; the logits are found again but for a constant, which softmax
    does not see.
    """
    if predictions.split != "validation" or not section.chooses:
        return predictions
    logits_NC = predictions.logits_NC * np.float32(temperature)
    raw = replace(predictions, logits_NC=logits_NC, saved_probabilities_NC=None, decision=PLAIN)
    return cross_fit(raw, section) or predictions


def _metrics(answers: _Asked) -> dict[str, dict[str, Any]]:
    """Each metric's mean over seeds with its interval, and each seed's own."""
    ones = np.ones((1, len(answers.stored.label_N)), dtype=np.float32)
    result = {}
    for metric in METRICS:
        asked = answers.of(metric)
        value, low, high = interval_over_seeds(asked, metric)
        own = [float(statistics(ones)[metric][0]) for statistics in asked.statistics((metric,))]
        shown = [number if np.isfinite(number) else None for number in own]
        result[metric] = {"value": value, "low": low, "high": high, "by_seed": shown}
    return result


def _costs(method: Method, by_method: ByMethod, split: str) -> dict[str, Any]:
    folder = by_method[method][0].folder
    summaries = [read_json(run.folder.summary) for run in by_method[method]]
    seconds = [summary["train_seconds"] for summary in summaries]
    if method == "qat":  # what it began with had to be trained too
        starts = [read_json(run.folder.summary)["train_seconds"] for run in by_method["lora"]]
        seconds = [own + start for own, start in zip(seconds, starts, strict=True)]
    speeds = [summary["train_examples_per_second"] for summary in summaries]
    return {
        "train_seconds": median(seconds),
        "train_examples_per_second": None if None in speeds else median(speeds),  # None: nothing was trained
        "best_epochs": [summary["best_epoch"] for summary in summaries],
        "trainable_parameters": summaries[0]["trainable_parameters"],
        "peak_memory_mib": median(summary["peak_memory_mib"] for summary in summaries),
        "artefact_bytes": artefact_bytes(folder),
        "deployed_bytes": deployed_bytes(folder),
        "latency_ms": latency_ms(folder, split),
    }


def _pairs(answers: Mapping[Method, _Asked], split: str, metric: str) -> list[dict[str, Any]]:
    """Every two methods in one metric on one split, their p-values corrected for how many pairs there are."""
    if metric == "roc_auc" and len(np.unique(next(iter(answers.values())).stored.label_N)) == 1:
        return []  # undefined
    both = list(combinations(answers, 2))
    of = {method: asked.of(metric) for method, asked in answers.items()}
    differences = [compare_pair(of[first], of[second], metric=metric) for first, second in both]
    adjusted = holm([difference.p_value for difference in differences])
    return [
        {
            "first": first,
            "second": second,
            "split": split,
            "metric": metric,
            "difference": difference.difference,
            "low": difference.low,
            "high": difference.high,
            "p_value": difference.p_value,
            "p_adjusted": p,
            "mcnemar": [test._asdict() for test in difference.mcnemar] if metric == "accuracy" else [],
            "sentence": in_words(NAMES[first], NAMES[second], difference, p_adjusted=p),
        }
        for (first, second), difference, p in zip(both, differences, adjusted, strict=True)
    ]


def _time_ratio(methods: Sequence[Mapping[str, Any]]) -> float | None:
    seconds = {method["method"]: method["train_seconds"] for method in methods}
    return float(seconds["lora"] / seconds["full"]) if {"lora", "full"} <= seconds.keys() else None
