"""The headline of a run's report: is it better, by how much, and how sure is that, in plain words.

'Better' means that the 95% interval of the paired difference to before training lies above zero on the same examples,
and that of the accuracy above the majority class. Whatever is not shown is said not to be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from feathertune.prediction.predictions import Predictions
from feathertune.report.facts import RunFacts
from feathertune.report.page import percent, shown, span
from feathertune.report.trainings import trainings
from feathertune.stats.paired import compare_pair, in_words
from feathertune.stats.seeds import SeedPredictions

Verdict = Literal["better", "worse", "not shown", "unknown"]
MAX_NAME = 40


@dataclass(frozen=True)
class Answer:
    """A headline, and the sentences that carry its figures."""

    verdict: Verdict
    headline: str
    sentences: tuple[str, ...]


def answer(facts: RunFacts) -> Answer:
    """The answer for the split that the report speaks of first."""
    stages = facts.cross_fitted_stages(facts.split)
    after = stages["after"]
    interval = after.get("intervals", {}).get("accuracy")
    right = f"{percent(after['accuracy'])} of the answers are right"
    examples = f"{after['num_examples']:,} {facts.split} examples"
    told = f"On {examples}, {right}" + (f" (95% interval {span(interval)})." if interval else ".")
    against_before, change = _against_before(facts, stages)
    against_majority, majority = _against_majority(stages)
    verdict = _verdict(against_before, against_majority)
    sentences = [told, *_joined(change, majority)]
    return Answer(verdict, _headline(verdict, against_before, stages), tuple(sentences))


def rounding(facts: RunFacts) -> str | None:
    """What quantizing did to the accuracy, in a sentence; None where nothing was quantized."""
    if "float" not in facts.predictions or "after" not in facts.predictions:
        return None
    pair = compare_pair(_alone(facts.predictions["after"]), _alone(facts.predictions["float"]))
    weights = facts.summary["quantization"]["weights"]
    return _sentence(in_words(f"the {weights} model", "the float32 model", pair))


def caveat(facts: RunFacts) -> str | None:
    """What makes the split's figures look better than new texts would; None where nothing does."""
    what = None if facts.split == "test" else _chosen_epoch(facts)
    return None if what is None else f"{what} A test split that chose nothing would say more."


def _chosen_epoch(facts: RunFacts) -> str | None:
    """Where a best epoch was chosen: by this run, or by the one that it starts from."""
    lean = "so the figures lean a little upwards."
    if any(training.epochs > 1 for training in trainings(facts)):
        whose = "best epoch of each adapter" if facts.members else "best epoch"
        return f"The {whose} was chosen on these {facts.split} examples, {lean}"
    if facts.recipe.init_from is None:
        return None
    start = facts.summary.get("start")
    if start is None:  # an earlier version's run, which does not say
        return (
            f"If the run that it starts from chose its best epoch on these {facts.split} examples, the figures lean a "
            "little upwards."
        )
    if start["epochs"] < 2 or not start["same_data"]:
        return None
    return f"The best epoch of the run that it starts from was chosen on {facts.split} of this data, {lean}"


def _verdict(against_before: Verdict, against_majority: Verdict) -> Verdict:
    if "unknown" in (against_before, against_majority):
        return "unknown"
    if against_before == against_majority:
        return against_before
    return "worse" if against_before == "worse" else "not shown"


def _headline(verdict: Verdict, against_before: Verdict, stages: Mapping[str, Mapping[str, Any]]) -> str:
    after = percent(stages["after"]["accuracy"])
    if "before" not in stages or verdict == "unknown":
        return f"{after} of the answers are right"
    before = percent(stages["before"]["accuracy"])
    if verdict == "better":
        return f"Yes, it is better: {after} right, where {before} was before"
    if verdict == "worse" and against_before == "worse":
        return f"No, it is worse: {after} right, where {before} was before"
    if against_before == "better":
        return f"Better than before, but not shown to be better than always giving one answer: {after} right"
    return f"No improvement was shown: {after} right, where {before} was before"


def _against_before(facts: RunFacts, stages: Mapping[str, Mapping[str, Any]]) -> tuple[Verdict, str | None]:
    """By the paired bootstrap where both prediction files are there, else by the interval of the accuracy alone."""
    if "before" not in stages:
        return "unknown", None
    before, after = stages["before"], stages["after"]
    difference = after["accuracy"] - before["accuracy"]
    if {"before", "after"} <= facts.predictions.keys() and not after.get("cross_fitted"):
        pair = compare_pair(_alone(facts.predictions["after"]), _alone(facts.predictions["before"]))
        low, high = pair.low, pair.high
    elif interval := after.get("intervals", {}).get("accuracy"):
        low, high = interval[0] - before["accuracy"], interval[1] - before["accuracy"]
    else:
        return "unknown", None
    return _judged(low, high), _change("before training", difference, (low, high))


def _against_majority(stages: Mapping[str, Mapping[str, Any]]) -> tuple[Verdict, str | None]:
    """The majority class's accuracy is taken as known."""
    interval = stages["after"].get("intervals", {}).get("accuracy")
    if "majority" not in stages or interval is None:
        return "unknown", None
    majority = stages["majority"]
    baseline = majority["accuracy"]
    low, high = interval[0] - baseline, interval[1] - baseline
    totals = [sum(column) for column in zip(*majority["confusion_matrix"], strict=True)]
    name = shown(majority["label_names"][totals.index(max(totals))], MAX_NAME)
    what = f"always answering {name}, which gives {percent(baseline)}"
    return _judged(low, high), _change(what, stages["after"]["accuracy"] - baseline, (low, high))


def _joined(change: str | None, majority: str | None) -> list[str]:
    """Two sentences that begin alike as one."""
    start = "That is "
    if change and majority and change.startswith(start) and majority.startswith(start):
        return [f"{change.removesuffix('.')}, and {majority.removeprefix(start)}"]
    return [sentence for sentence in (change, majority) if sentence]


def _judged(low: float, high: float) -> Verdict:
    return "better" if low > 0 else "worse" if high < 0 else "not shown"


def _change(than: str, difference: float, interval: tuple[float, float]) -> str:
    verdict = _judged(*interval)
    if verdict == "not shown":
        return f"No difference was shown from {than}: {span(interval)} points."
    low, high = sorted(abs(end) for end in interval)
    more = "more" if verdict == "better" else "fewer"
    return f"That is {abs(100 * difference):.1f} points {more} than {than} ({span((low, high))})."


def _alone(predictions: Predictions) -> SeedPredictions:
    return SeedPredictions.of([predictions])


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."
