"""The part of a run that differs for a baseline: fitting it to train, and predicting with the file that was written."""

from __future__ import annotations

import time

from feathertune.baselines.bag_of_words import BagOfWordsBaseline
from feathertune.baselines.baseline import Baseline, baseline_logits
from feathertune.baselines.files import load_baseline, save_baseline
from feathertune.baselines.majority import MajorityBaseline
from feathertune.model.classifier import ParameterCount
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.evaluation import EvaluationSection
from feathertune.run.context import RunContext
from feathertune.run.prepare import PreparedBaseline
from feathertune.run.result import RunResult
from feathertune.run.stages import StageResult, record_stage
from feathertune.training.checkpoint import Progress
from feathertune.training.loop import Outcome


def run_baseline(context: RunContext, prepared: PreparedBaseline) -> RunResult:
    """Fit the recipe's baseline and evaluate it. It takes seconds, so there are no epochs and no checkpoints."""
    recipe, examples = prepared.recipe, len(prepared.train)
    start = time.perf_counter()
    fitted = _fit(prepared)
    outcome = Outcome(Progress(train_seconds=time.perf_counter() - start, examples_seen=examples), stopped_early=False)
    if context.writes:
        save_baseline(context.run.baseline, fitted)
    context.accelerator.wait_for_everyone()
    baseline = load_baseline(context.run.baseline)
    raw = {
        split.name: Predictions.of_split(
            split, baseline.label_names, baseline_logits(baseline, split.texts.to_pylist())
        )
        for split in prepared.evaluated
    }
    # With a threshold, the majority class could be another one.
    section = EvaluationSection() if recipe.method == "majority" else recipe.evaluation
    return RunResult(
        stages={"before": StageResult({}, {}), "after": record_stage(context, raw, section, "after")},
        outcome=outcome,
        count=ParameterCount(fitted.trained_numbers, fitted.trained_numbers),
        precision="fp64",
    )


def _fit(prepared: PreparedBaseline) -> Baseline:
    recipe, train, label_names = prepared.recipe, prepared.train, prepared.dataset.label_names
    if recipe.method == "majority":
        return MajorityBaseline.fit(train.labels, label_names)
    return BagOfWordsBaseline.fit(train.texts.to_pylist(), train.labels, label_names, recipe.training.seed)
