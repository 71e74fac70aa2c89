"""The headline of a run's report: whether training helped, by how much, and how certain that is.

'Better' means that 95% intervals lie above zero: that of the difference in accuracy to before training, paired on the
same examples, and that of the accuracy less the majority class's. A gain that is not statistically clear is not called
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from feathertune.evaluation.differences import difference_in_words, seed_predictions
from feathertune.folders.metrics import Metrics
from feathertune.prediction.predictions import Predictions
from feathertune.report.facts import RunFacts
from feathertune.report.trainings import trainings
from feathertune.stats.paired import compare_pair
from feathertune.stats.seeds import SeedPredictions
from feathertune.wording.numbers import percent, span
from feathertune.wording.visible import shown

Verdict = Literal["better", "worse", "unclear", "unknown"]
MAX_NAME = 40


@dataclass(frozen=True)
class Headline:
    """The verdict, its title, and the sentences with the figures."""

    verdict: Verdict
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class _Difference:
    """The accuracy after training less another one: the interval and the verdict, and what it is compared with."""

    value: float
    low: float
    high: float
    other: str

    @property
    def verdict(self) -> Verdict:
        return "better" if self.low > 0 else "worse" if self.high < 0 else "unclear"


def headline(facts: RunFacts) -> Headline:
    """The headline for the split that the report presents first."""
    stages = facts.cross_fitted_stages(facts.split)
    after = stages["after"]
    interval = after.interval("accuracy")
    to_before, to_majority = _to_before(facts, stages), _to_majority(stages)
    examples = f"On {after.num_examples:,} {facts.split} examples"
    certainty = f" (95% confidence interval {span(interval)}%)" if interval else ""
    sentences = [f"{examples}, the accuracy is {percent(after.accuracy)}{certainty}."]
    sentences += _in_words([difference for difference in (to_before, to_majority) if difference is not None])
    verdict = _verdict(to_before, to_majority)
    return Headline(verdict, _title(verdict, to_before, stages), tuple(sentences))


def quantization_effect(facts: RunFacts) -> str | None:
    """What quantization did to the accuracy, in a sentence; None if nothing was quantized."""
    quantization = facts.summary.quantization
    if quantization is None or not {"float", "after"} <= facts.predictions.keys():
        return None
    pair = compare_pair(_one_seed(facts.predictions["after"]), _one_seed(facts.predictions["float"]))
    sentence = difference_in_words(f"the {quantization.weights} model", "the float32 model", pair)
    return f"{sentence[0].upper()}{sentence[1:]}."


def caveat(facts: RunFacts) -> str | None:
    """Why the figures of the split look better than those of new texts would; None if nothing was chosen on it."""
    bias = None if facts.split == "test" else _chosen_epoch(facts)
    return None if bias is None else f"{bias} A separate test split would give an unbiased estimate."


def _chosen_epoch(facts: RunFacts) -> str | None:
    """That a best epoch was chosen on the split, by this run or by the one that it started from."""
    effect = "so these figures are slightly optimistic."
    if any(training.epochs > 1 for training in trainings(facts)):
        epoch = "best epoch of each adapter" if facts.summary.members else "best epoch"
        return f"The {epoch} was chosen on these {facts.split} examples, {effect}"
    if facts.recipe.init_from is None:
        return None
    start = facts.summary.start
    if start is None:  # a run of an earlier version, which does not record it
        return (
            f"If the run that this one started from chose its best epoch on these {facts.split} examples, these "
            "figures are slightly optimistic."
        )
    if start.epochs < 2 or not start.same_data:
        return None
    return f"The run that this one started from chose its best epoch on {facts.split} of the same data, {effect}"


def _verdict(to_before: _Difference | None, to_majority: _Difference | None) -> Verdict:
    if to_before is None or to_majority is None:
        return "unknown"
    if to_before.verdict == to_majority.verdict:
        return to_before.verdict
    return "worse" if to_before.verdict == "worse" else "unclear"


def _title(verdict: Verdict, to_before: _Difference | None, stages: Mapping[str, Metrics]) -> str:
    after = percent(stages["after"].accuracy)
    if to_before is None or verdict == "unknown":
        return f"{after} accuracy"
    before = percent(stages["before"].accuracy)
    if verdict == "better":
        return f"Better: {after} accuracy, up from {before}"
    if verdict == "worse":
        return f"Worse: {after} accuracy, down from {before}"
    if to_before.verdict == "better":
        return f"Better than before, but not clearly better than the majority class: {after} accuracy"
    return f"No clear improvement: {after} accuracy, {before} before training"


def _to_before(facts: RunFacts, stages: Mapping[str, Metrics]) -> _Difference | None:
    """By the paired bootstrap if both prediction files exist, else by the interval of the accuracy alone."""
    if "before" not in stages:
        return None
    before, after = stages["before"], stages["after"]
    other = f"the {percent(before.accuracy)} before training"
    difference = after.accuracy - before.accuracy
    if {"before", "after"} <= facts.predictions.keys() and after.cross_fitted is None:
        pair = compare_pair(_one_seed(facts.predictions["after"]), _one_seed(facts.predictions["before"]))
        return _Difference(difference, pair.low, pair.high, other)
    interval = after.interval("accuracy")
    if interval is None:
        return None
    return _Difference(difference, interval[0] - before.accuracy, interval[1] - before.accuracy, other)


def _to_majority(stages: Mapping[str, Metrics]) -> _Difference | None:
    """By the interval of the accuracy; the majority class's accuracy is taken as known."""
    interval = stages["after"].interval("accuracy")
    if "majority" not in stages or interval is None:
        return None
    majority = stages["majority"]
    baseline = majority.accuracy
    other = f"the {percent(baseline)} of always predicting {shown(majority.majority_label, MAX_NAME)}"
    return _Difference(stages["after"].accuracy - baseline, interval[0] - baseline, interval[1] - baseline, other)


def _in_words(differences: list[_Difference]) -> list[str]:
    """A sentence for each difference; one for both if both are significant or neither is."""
    unclear = [difference.verdict == "unclear" for difference in differences]
    if len(differences) == 2 and unclear[0] == unclear[1]:
        first, second = differences
        if unclear[0]:
            nor = f"nor is the difference from {second.other} ({_interval(second)} points)"
            return [f"{_unclear(first)}; {nor}."]
        return [f"That is {_size(first)}, and {_size(second)}."]
    return [
        f"{_unclear(difference)}." if difference.verdict == "unclear" else f"That is {_size(difference)}."
        for difference in differences
    ]


def _unclear(difference: _Difference) -> str:
    interval = f"{_interval(difference)} points"
    return f"The difference from {difference.other} is not statistically significant ({interval})"


def _size(difference: _Difference) -> str:
    direction = "higher" if difference.verdict == "better" else "lower"
    points = f"{abs(100 * difference.value):.1f} points"
    return f"{points} {direction} than {difference.other} ({_interval(difference)})"


def _interval(difference: _Difference) -> str:
    """The interval of the difference: signed if it is unclear, else in absolute values."""
    if difference.verdict == "unclear":
        return span((difference.low, difference.high))
    low, high = sorted((abs(difference.low), abs(difference.high)))
    return span((low, high))


def _one_seed(predictions: Predictions) -> SeedPredictions:
    return seed_predictions([predictions])
