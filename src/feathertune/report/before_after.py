"""The table of a run, for a page, a card or a terminal: each metric before and after training, with a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feathertune.folders.metrics import Interval, Metrics
from feathertune.folders.summary import Summary, TrainingSummary
from feathertune.stats.probabilities import BINARY_THRESHOLD
from feathertune.wording.duration import duration
from feathertune.wording.markdown import markdown_table
from feathertune.wording.metrics import TITLES, metric_change, metric_interval, metric_title, metric_value
from feathertune.wording.numbers import number, percent
from feathertune.wording.size import size
from feathertune.wording.visible import shortened

HEADS = ("majority\nclass", "before", "after", "change", "95% interval\n(after)")  # of `Row.cells`
STAGE_NAMES = {"majority": "majority class", "before": "before", "float": "float32", "ptq": "PTQ", "after": "after"}
MAX_NAME = 40
MAX_NAME_IN_TITLE = 14


@dataclass(frozen=True)
class Row:
    """One metric: its title, and its value and 95% interval at each stage, None where undefined or unknown."""

    metric: str
    title: str
    values: dict[str, float | None]
    intervals: dict[str, Interval | None]

    @property
    def change(self) -> float | None:
        """After minus before."""
        before, after = self.values.get("before"), self.values.get("after")
        return None if before is None or after is None else after - before

    @property
    def cells(self) -> tuple[str, ...]:
        """One cell for each of HEADS."""
        return (
            *(metric_value(self.metric, self.values.get(stage)) for stage in ("majority", "before", "after")),
            metric_change(self.metric, self.change),
            metric_interval(self.metric, self.intervals.get("after")),
        )


@dataclass(frozen=True)
class SplitTable:
    """The metrics of one split. `stages` are those that the run has."""

    split: str
    title: str
    stages: tuple[str, ...]
    rows: tuple[Row, ...]
    verdict: str

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        return markdown_table([self.title, *HEADS], [[row.title, *row.cells] for row in self.rows])


def split_tables(summary: Summary) -> list[SplitTable]:
    """One table for each split that was evaluated after training."""
    tables = []
    for split, after in summary.after.items():
        stages = summary.stages(split)
        rows = tuple(
            Row(
                name,
                title_of(name, after),
                {stage: metrics.value(name) for stage, metrics in stages.items()},
                {stage: metrics.interval(name) for stage, metrics in stages.items()},
            )
            for name in TITLES
        )
        sentence = verdict(split, after, stages.get("majority"), stages.get("before"))
        tables.append(SplitTable(split, split_title(after, split), tuple(stages), rows, sentence))
    return tables


def title_of(name: str, metrics: Metrics) -> str:
    """The title of a metric in a table, with the positive class."""
    label = metrics.positive_label
    positive = None if label is None else shortened(label, MAX_NAME_IN_TITLE)
    return metric_title(name, positive, macro=metrics.averaging == "macro")


def split_title(metrics: Metrics, split: str | None = None) -> str:
    """'validation, 333 examples', and the threshold and temperature unless they are 0.5 and 1."""
    parts = [f"{split or metrics.split}, {metrics.num_examples:,} examples"]
    if metrics.threshold not in (None, BINARY_THRESHOLD):
        parts.append(f"threshold {metrics.threshold:.3f}")
    if metrics.temperature != 1:
        parts.append(f"temperature {metrics.temperature:.2f}")
    return "; ".join(parts)


def verdict(split: str, after: Metrics, majority: Metrics | None = None, before: Metrics | None = None) -> str:
    """How the interval of the accuracy lies to the majority class and to before training, in one sentence.

    Both are taken as known, and the interval as that of the accuracy alone: a plain reading of one table.
    """
    judged = after.prefer_cross_fitted()
    interval = judged.interval("accuracy")
    text = f"{split}: {'' if after.cross_fitted is None else 'cross-fitted '}accuracy {percent(judged.accuracy)}"
    if interval is None:
        return f"{text} (no interval was computed)"
    low, high = interval
    text += f" ({metric_interval('accuracy', interval)})"
    if majority is None:
        return text
    baseline = majority.accuracy
    if low <= baseline:
        comparison = "worse than" if high < baseline else "not clearly better than"
        label = shortened(majority.majority_label, MAX_NAME)
        return f"{text}, {comparison} always predicting {label} ({percent(baseline)})"
    if before is not None and low <= before.accuracy:
        comparison = "worse than" if high < before.accuracy else "not clearly better than"
        return f"{text}, {comparison} before training ({percent(before.accuracy)})"
    return f"{text}, above the majority class ({percent(baseline)})"


def caption(summary: Summary) -> list[str]:
    """Lines below the tables: what was trained, what it cost, and the verdict on each split."""
    trainings, total = summary.trainings, summary.total_parameters
    lines, costs = [], []
    if trainings:
        if total:
            share = f"{summary.trainable_parameters / total:.2%}"
            lines.append(f"{summary.trainable_parameters:,} of {total:,} parameters trained ({share})")
        costs.append(f"training took {duration(sum(training.train_seconds for training in trainings))}")
        costs.append(f"{examples_per_second(trainings):,.1f} examples/s")
    costs.append(f"peak memory {number(summary.peak_memory_mib)} MiB")
    if best := [f"{training.best_epoch} of {training.epochs}" for training in trainings if training.best_epoch]:
        costs.append(f"best epoch {', then '.join(best)}")
    lines.append(", ".join(costs))
    notes = [
        f"{split}: {note}"
        for split, after in summary.after.items()
        for note in (bias_note(after), left_out_note(summary.stages(split)))
        if note
    ]
    return [*lines, *_quantization(summary), *notes, *(table.verdict for table in split_tables(summary))]


def examples_per_second(trainings: Sequence[TrainingSummary]) -> float:
    """The training speed, over one or several trainings."""
    seconds = sum(training.train_seconds for training in trainings)
    if len(trainings) == 1:
        return trainings[0].train_examples_per_second or 0.0
    return sum(training.train_seconds * (training.train_examples_per_second or 0.0) for training in trainings) / seconds


def bias_note(metrics: Metrics) -> str | None:
    """A note on metrics that a choice on these very examples makes optimistic, with cross-fitted ones; else None."""
    cross_fitted = metrics.cross_fitted
    if cross_fitted is None:
        return None
    return (
        "temperature or threshold was chosen on these very examples; cross-fitted: "
        f"accuracy {percent(cross_fitted.accuracy)}, F1 {percent(cross_fitted.f1)}, loss {cross_fitted.loss:.4f} nats"
    )


def left_out_note(stages: Mapping[str, Metrics]) -> str | None:
    """Which averages over classes are of fewer than all classes, at each stage of one split; None if none are."""
    last = list(stages.values())[-1]
    if last.averaging != "macro":
        return None
    classes, parts = len(last.label_names), []
    left_out = {STAGE_NAMES[stage]: metrics.absent_classes for stage, metrics in stages.items()}
    if any(left_out.values()):
        numbers = f"{last.absent_classes} of {classes}"
        if len(set(left_out.values())) > 1:
            numbers += f" ({', '.join(f'{name} {number}' for name, number in left_out.items())})"
        parts.append(f"macro averages leave out classes that are in neither labels nor predictions: {numbers}")
    without = sum(scores.support == 0 for scores in last.per_class.values())
    if without and last.roc_auc is not None:
        parts.append(f"ROC AUC leaves out classes without examples: {without} of {classes}")
    return "; ".join(parts) or None


def _quantization(summary: Summary) -> list[str]:
    """What `after` is if the run was quantized: its size, and the accuracy at each stage."""
    quantization = summary.quantization
    if quantization is None:
        return []
    weights, share = quantization.weights, quantization.weights_bytes / quantization.float32_bytes
    lines = [f"after: quantized, {weights} weights, {size(quantization.weights_bytes)} ({share:.1%} of float32)"]
    last = f"{weights} PTQ" if summary.ptq is None else f"{weights} QAT"
    titles = {"float": "float32", "ptq": f"{weights} PTQ", "after": last}
    for split in summary.after:
        stages = summary.stages(split)
        accuracies = [
            f"{title} {percent(stages[stage].accuracy)}" for stage, title in titles.items() if stage in stages
        ]
        lines.append(f"{split} accuracy: {', '.join(accuracies)}")
    return lines
