"""From the folders of finished runs to the content of comparison.json.

Every metric is recomputed from the prediction files, so that it can be checked, and all methods are compared on the
same examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median
from typing import TypedDict

import numpy as np

from feathertune.comparison.costs import artefact_bytes, deployed_bytes, latency_ms
from feathertune.comparison.plan import PlannedRun
from feathertune.comparison.sentences import (
    budget,
    learning_rate,
    left_out_notes,
    lora_and_full_seconds,
    notes,
    sentences,
)
from feathertune.errors import UserError
from feathertune.evaluation.calibration import cross_fit, read_decision
from feathertune.evaluation.differences import difference_in_words, seed_predictions
from feathertune.folders.comparison import Comparison, Estimate, McNemarResult, MethodResult, PairResult
from feathertune.folders.summary import Stage, Summary
from feathertune.prediction.decision import DEFAULT_DECISION
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.evaluation import EvaluationSection
from feathertune.recipe.schema import Method
from feathertune.stats.paired import compare_pair, holm, interval_over_seeds
from feathertune.stats.seeds import SeedPredictions
from feathertune.wording.methods import NAMES
from feathertune.wording.metrics import TITLES

METRICS = tuple(TITLES)
PAIRED = ("accuracy", "f1", "roc_auc")  # the metrics in which pairs of methods are compared

ByMethod = Mapping[Method, list[PlannedRun]]


def collect(runs: Sequence[PlannedRun]) -> Comparison:
    """The comparison of finished runs.

    Raises:
        UserError: the predictions of two runs are not for the same examples, or the model of a run is missing.
    """
    by_method: dict[Method, list[PlannedRun]] = {}
    for run in runs:
        by_method.setdefault(run.method, []).append(run)
    summary = Summary.read(runs[0].folder.summary)
    splits = list(summary.after)
    after = {split: _predictions(by_method, "after", split) for split in splits}
    before = {split: _predictions(by_method, "before", split) for split in splits}
    methods = [
        MethodResult(
            method=method,
            name=NAMES[method],
            seeds=tuple(run.seed for run in method_runs),
            runs=tuple(f"runs/{run.folder.path.name}" for run in method_runs),
            learning_rate=learning_rate(method_runs[0].recipe),
            metrics={split: _estimates(after[split][method]) for split in splits},
            before={split: _estimates(before[split][method]) for split in splits if method in before[split]},
            absent_classes={split: _absent_classes(after[split][method].cross_fitted) for split in splits},
            **_costs(method, by_method, splits[0]),
        )
        for method, method_runs in by_method.items()
    ]
    pairs = [pair for split in splits for metric in PAIRED for pair in _pairs(after[split], split, metric)]
    return Comparison(
        label_names=summary.label_names,
        seeds=tuple(sorted({run.seed for run in runs})),
        splits={split: metrics.num_examples for split, metrics in summary.after.items()},
        budget=tuple(budget({method: method_runs[0].recipe for method, method_runs in by_method.items()})),
        methods=tuple(methods),
        pairs=tuple(pairs),
        sentences=tuple(sentences(pairs, methods, splits)),
        time_ratio_lora_full=_time_ratio(methods),
        notes=(*notes(runs), *left_out_notes(methods, len(summary.label_names))),
    )


@dataclass(frozen=True)
class _MethodPredictions:
    """The predictions of a method on a split: as stored, and cross-fitted if the decision was chosen on that split."""

    stored: SeedPredictions
    cross_fitted: SeedPredictions

    def for_metric(self, metric: str) -> SeedPredictions:
        """Those that a metric is computed from. ROC AUC needs no decision, and two temperatures would mix the ranks."""
        return self.stored if metric == "roc_auc" else self.cross_fitted


def _predictions(by_method: ByMethod, stage: Stage, split: str) -> dict[Method, _MethodPredictions]:
    """The predictions of every method that has this stage. Raises UserError if the examples differ."""
    first: Predictions | None = None
    result: dict[Method, _MethodPredictions] = {}
    for method, runs in by_method.items():
        files = [run.folder.predictions(stage, split) for run in runs]
        if stage == "before" and not files[0].is_file():  # a baseline
            continue
        stored = [read_predictions(file, split) for file in files]
        for file, predictions in zip(files, stored, strict=True):
            first = first or predictions
            same = np.array_equal(first.rows, predictions.rows) and np.array_equal(first.labels, predictions.labels)
            if not same or first.label_names != predictions.label_names:
                raise UserError("these predictions are not for the examples of the other runs", where=str(file))
        section = runs[0].recipe.evaluation
        temperatures = [
            read_decision(run.folder.calibration, section).temperature if stage == "after" else 1.0 for run in runs
        ]
        cross_fitted = [_cross_fitted(*pair, section) for pair in zip(stored, temperatures, strict=True)]
        result[method] = _MethodPredictions(seed_predictions(stored), seed_predictions(cross_fitted))
    return result


def _cross_fitted(predictions: Predictions, temperature: float, section: EvaluationSection) -> Predictions:
    """The predictions; if the decision was chosen on this split, each half of them by the decision of the other half.

    The file's probabilities were computed with `temperature`. The logits are recovered from them up to a constant,
    which softmax ignores.
    """
    if predictions.split != "validation" or not section.chooses:
        return predictions
    logits_NC = predictions.logits_NC * np.float32(temperature)
    raw = replace(predictions, logits_NC=logits_NC, saved_probabilities_NC=None, decision=DEFAULT_DECISION)
    return cross_fit(raw, section) or predictions


def _estimates(predictions: _MethodPredictions) -> dict[str, Estimate]:
    """Metric -> its mean over seeds with the interval, and its value for each seed."""
    ones_1N = np.ones((1, len(predictions.stored.label_N)), dtype=np.float32)
    result = {}
    for metric in METRICS:
        runs = predictions.for_metric(metric)
        value, low, high = interval_over_seeds(runs, metric)
        values = [float(statistics(ones_1N)[metric][0]) for statistics in runs.statistics((metric,))]
        by_seed = tuple(one if np.isfinite(one) else None for one in values)
        result[metric] = Estimate(value=value, low=low, high=high, by_seed=by_seed)
    return result


def _absent_classes(predictions: SeedPredictions) -> tuple[int, ...]:
    """For each seed, how many classes are neither in truth nor in predictions; with two classes none is left out."""
    classes = predictions.probability_SNC.shape[2]
    if classes == 2:
        return (0,) * predictions.seeds
    return tuple(
        classes - len(np.union1d(predictions.label_N, predictions.predicted(seed))) for seed in range(predictions.seeds)
    )


class _Costs(TypedDict):
    train_seconds: float
    train_examples_per_second: float | None
    best_epochs: tuple[int | None, ...]
    trainable_parameters: int
    peak_memory_mib: float
    artefact_bytes: int
    deployed_bytes: int
    latency_ms: float


def _costs(method: Method, by_method: ByMethod, split: str) -> _Costs:
    folder = by_method[method][0].folder
    summaries = [Summary.read(run.folder.summary) for run in by_method[method]]
    seconds = [summary.train_seconds for summary in summaries]
    if method == "qat":  # the LoRA run that it started from had to be trained too
        starts = [Summary.read(run.folder.summary).train_seconds for run in by_method["lora"]]
        seconds = [own + start for own, start in zip(seconds, starts, strict=True)]
    speeds = [speed for summary in summaries if (speed := summary.train_examples_per_second) is not None]
    return {
        "train_seconds": median(seconds),
        "train_examples_per_second": median(speeds) if len(speeds) == len(summaries) else None,  # nothing was trained
        "best_epochs": tuple(summary.best_epoch for summary in summaries),
        "trainable_parameters": summaries[0].trainable_parameters,
        "peak_memory_mib": median(summary.peak_memory_mib for summary in summaries),
        "artefact_bytes": artefact_bytes(folder),
        "deployed_bytes": deployed_bytes(folder),
        "latency_ms": latency_ms(folder, split),
    }


def _pairs(predictions: Mapping[Method, _MethodPredictions], split: str, metric: str) -> list[PairResult]:
    """Every two methods in one metric on one split, with p-values corrected for the number of pairs."""
    if metric == "roc_auc" and len(np.unique(next(iter(predictions.values())).stored.label_N)) == 1:
        return []  # undefined
    by_method = {method: both.for_metric(metric) for method, both in predictions.items()}
    pairs = list(combinations(predictions, 2))
    differences = [compare_pair(by_method[first], by_method[second], metric=metric) for first, second in pairs]
    adjusted = holm([difference.p_value for difference in differences])
    return [
        PairResult(
            first=first,
            second=second,
            split=split,
            metric=metric,
            difference=difference.difference,
            low=difference.low,
            high=difference.high,
            p_value=difference.p_value,
            p_adjusted=p_adjusted,
            mcnemar=tuple(
                McNemarResult(**test._asdict()) for test in (difference.mcnemar if metric == "accuracy" else ())
            ),
            sentence=difference_in_words(NAMES[first], NAMES[second], difference, p_adjusted=p_adjusted),
        )
        for (first, second), difference, p_adjusted in zip(pairs, differences, adjusted, strict=True)
    ]


def _time_ratio(methods: Sequence[MethodResult]) -> float | None:
    seconds = lora_and_full_seconds(methods)
    return None if seconds is None else seconds[0] / seconds[1]
