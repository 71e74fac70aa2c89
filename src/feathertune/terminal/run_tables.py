"""The result of a run for people: before, after and the trivial baseline, with a verdict in plain words.

`summary.json`'s content goes in (keys: method, model, trainable_parameters, total_parameters, train_seconds,
train_examples_per_second, peak_memory_mib; before, after, majority = {split: metrics}); a rich table or Markdown
comes out. Whatever is missing is shown as a dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from feathertune.wording.duration import duration
from feathertune.wording.visible import visible

ROWS = {"loss": "loss (nats)", "accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}
ROWS |= {"roc_auc": "ROC AUC", "ece": "calibration err."}
HEADERS = ("", "majority\nclass", "before", "after", "change", "95% interval\n(after)")
DASH = "\N{EN DASH}"
MAX_NAME = 40


@dataclass(frozen=True)
class Block:
    """One split's part of the table: a title, rows of six cells under HEADERS, and the verdict."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    verdict: str


def before_after_table(summary: Mapping[str, Any]) -> Table:
    """A rich table for 100 columns, of which titles give way first: each split's metrics, then costs and verdicts."""
    table = Table(caption=Text("\n".join(_caption(summary))), caption_justify="left", title_justify="left")
    for header in HEADERS:
        table.add_column(header, justify="right" if header else "left", no_wrap=bool(header))
    for block in blocks(summary):
        table.add_row(Text(block.title, style="bold"))
        for row in block.rows:
            table.add_row(*(Text(cell) for cell in row))
        table.add_section()
    return table


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """One evaluation (`Metrics.to_json()`): each metric with its 95% interval, and each class's own."""
    title = f"{metrics['split']}, {metrics['num_examples']:,} examples{_decision(metrics)}"
    note = _chosen_here(metrics)
    caption = Text(note) if note else None
    table = Table(title=Text(title), title_justify="left", caption=caption, caption_justify="left")
    for header in ("", "value", "95% interval"):
        table.add_column(header, justify="right" if header else "left", no_wrap=bool(header))
    for name in ROWS:
        interval = _interval(name, metrics["intervals"].get(name))
        table.add_row(*(Text(cell) for cell in (metric_title(name, metrics), _value(name, metrics[name]), interval)))
    table.add_section()
    for name, scores in metrics["per_class"].items():
        shown = f"precision {scores['precision']:.1%}, recall {scores['recall']:.1%}, F1 {scores['f1']:.1%}"
        table.add_row(Text(_short(name, 24)), Text(f"{scores['support']:,} examples"), Text(shown))
    return table


def before_after_markdown(summary: Mapping[str, Any]) -> str:
    """The same as Markdown, one table for each split, for the model card."""
    parts = []
    for block in blocks(summary):
        lines = [markdown_row((block.title, *HEADERS[1:])), "| :-- |" + " --: |" * (len(HEADERS) - 1)]
        parts.append("\n".join([*lines, *(markdown_row(row) for row in block.rows)]))
    return "\n\n".join([*parts, "\n".join(f"- {escaped(line)}" for line in _caption(summary))]) + "\n"


def blocks(summary: Mapping[str, Any]) -> list[Block]:
    """The table's content, one Block for each split of `after`."""
    result = []
    for split, after in summary.get("after", {}).items():
        before, majority = (summary.get(stage, {}).get(split, {}) for stage in ("before", "majority"))
        rows = tuple(_row(name, majority, before, after) for name in ROWS)
        title = f"{split}, {after['num_examples']:,} examples{_decision(after)}"
        result.append(Block(title, rows, verdict(split, after, majority, before)))
    return result


def verdict(
    split: str, after: Mapping[str, Any], majority: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> str:
    """What the accuracy's interval says about the majority class and about before training, in one sentence.

    Both are taken as known and the interval as the accuracy's alone: a plain reading of one table.
    """
    fair = after.get("cross_fitted") or after  # what was chosen on these examples flatters them
    interval = fair.get("intervals", {}).get("accuracy")
    shown = f"{split}: {'cross-fitted ' if fair is not after else ''}accuracy {fair['accuracy']:.1%}"
    if interval is None:
        return f"{shown} (no interval was computed, so it says little)"
    low, high = interval
    shown += f" ({100 * low:.1f} to {high:.1%})"
    if "accuracy" not in majority:
        return shown
    baseline = majority["accuracy"]
    earlier = (before or {}).get("accuracy")
    if low > baseline and earlier is not None and low <= earlier:
        word = "worse than" if high < earlier else "not shown to be better than"
        return f"{shown}, {word} before training ({earlier:.1%})"
    if low > baseline:
        return f"{shown}, above the majority class ({baseline:.1%})"
    word = "worse than" if high < baseline else "no better than"
    return f"{shown}, {word} always answering {_majority_name(majority)} ({baseline:.1%})"


def _decision(metrics: Mapping[str, Any]) -> str:
    """How the answers were decided, where that is not the plain way."""
    threshold, temperature = metrics.get("threshold"), metrics.get("temperature", 1.0)
    told = f"; {_short(metrics['positive_label'], 14)} from {threshold:.3f}" if threshold not in (None, 0.5) else ""
    return told + (f"; temperature {temperature:.2f}" if temperature != 1 else "")


def _chosen_here(metrics: Mapping[str, Any]) -> str | None:
    """A sentence on numbers that flatter, or None."""
    fair = metrics.get("cross_fitted")
    if not fair:
        return None
    shown = ", ".join(f"{ROWS[name]} {_value(name, fair[name])}" for name in ("accuracy", "f1", "loss"))
    return f"how to decide was chosen on these very examples; chosen on one half for the other: {shown}"


def _row(
    name: str, majority: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[str, ...]:
    """Six cells: the metric's name, three values, the change, the interval."""
    values = [_value(name, metrics.get(name)) for metrics in (majority, before, after)]
    return (
        metric_title(name, after),
        *values,
        _change(name, before, after),
        _interval(name, after.get("intervals", {}).get(name)),
    )


def metric_title(name: str, metrics: Mapping[str, Any]) -> str:
    """The metric's name, and of what: the positive class, or the mean over the classes."""
    if name in ("precision", "recall", "f1"):
        of = metrics.get("positive_label")
        return f"{ROWS[name]} of {_short(of, 14)}" if of is not None else f"{ROWS[name]} (macro)"
    return f"{ROWS[name]} (macro)" if name == "roc_auc" and metrics.get("averaging") == "macro" else ROWS[name]


def _value(name: str, value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.4f}" if name == "loss" else f"{value:.1%}"


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """After minus before: in nats for the loss, in percentage points for the others."""
    if before.get(name) is None or after.get(name) is None:
        return DASH
    difference = after[name] - before[name]
    # + 0.0 after rounding makes no '-0.0' of a tiny loss of points
    return f"{round(difference, 4) + 0.0:+.4f}" if name == "loss" else f"{round(100 * difference, 1) + 0.0:+.1f} pts"


def _interval(name: str, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return DASH
    low, high = interval
    return f"{low:.4f} to {high:.4f}" if name == "loss" else f"{100 * low:.1f} to {high:.1%}"


def _caption(summary: Mapping[str, Any]) -> list[str]:
    """Lines below the table: what was trained, what it cost, and each split's verdict."""
    done = trainings_of(summary)
    trained, total = summary.get("trainable_parameters"), summary.get("total_parameters")
    lines = []
    if done and trained is not None and total:
        lines.append(f"{trained:,} of {total:,} parameters trained ({trained / total:.2%})")
    costs = []
    if done:
        costs.append(f"training took {duration(sum(one['train_seconds'] for one in done))}")
        costs.append(f"{examples_per_second(done):,.1f} examples/s")
    if summary.get("peak_memory_mib") is not None:
        costs.append(f"peak memory {summary['peak_memory_mib']:,.0f} MiB")
    if best := [f"{one['best_epoch']} of {one['epochs']}" for one in done if one["best_epoch"]]:
        costs.append(f"best epoch {', then '.join(best)}")
    lines += [", ".join(costs)] if costs else []
    notes = [f"{split}: {note}" for split, after in summary.get("after", {}).items() if (note := _chosen_here(after))]
    return [*lines, *_quantization(summary), *notes, *(block.verdict for block in blocks(summary))]


def trainings_of(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The trainings that a run did, in their order: each with epochs, best_epoch, train_seconds and examples a second.

    A summary has the first one's at its top and a second one's, with the quantizers on, under `quantization`; of a run
    that goes on from another one the second's stand at the top as well. A run that only rounds did none.
    """
    second = summary.get("quantization", {}).get("training")
    if not summary.get("train_seconds"):
        return []
    return [summary] if second is None or second["train_seconds"] == summary["train_seconds"] else [summary, second]


def examples_per_second(trainings: Sequence[Mapping[str, Any]]) -> float:
    """Of one training or of several together."""
    if len(trainings) == 1:
        return float(trainings[0]["train_examples_per_second"])
    seen = sum(one["train_seconds"] * one["train_examples_per_second"] for one in trainings)
    return float(seen / sum(one["train_seconds"] for one in trainings))


def _quantization(summary: Mapping[str, Any]) -> list[str]:
    """What `after` is where the run was quantized: its size, and the accuracies on the way there."""
    quantization = summary.get("quantization")
    if quantization is None:
        return []
    size, whole, weights = (quantization[key] for key in ("weights_bytes", "float32_bytes", "weights"))
    lines = [f"after: quantized, {weights} weights, {size / 2**20:,.1f} MiB ({size / whole:.1%} of float32)"]
    stages = {"float": "float32", "ptq": f"{weights} rounded", "after": f"{weights} trained"}
    if "ptq" not in summary:
        stages = {"float": "float32", "after": f"{weights} rounded"}
    for split in summary["after"]:
        shown = ", ".join(f"{title} {summary[stage][split]['accuracy']:.1%}" for stage, title in stages.items())
        lines.append(f"{split}: accuracy in {shown}")
    return lines


def _majority_name(majority: Mapping[str, Any]) -> str:
    """The class that the majority baseline always answers: the one column of its confusion matrix that is not empty."""
    totals = [sum(column) for column in zip(*majority["confusion_matrix"], strict=True)]
    return _short(majority["label_names"][totals.index(max(totals))], MAX_NAME)


def _short(name: str, longest: int) -> str:
    name = visible(" ".join(name.split()))
    return name if len(name) <= longest else name[: longest - 1] + "…"


def markdown_row(cells: tuple[str, ...]) -> str:
    """One row of a Markdown table, its cells as they are."""
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is and on one line, even where a class is called `<b>|`."""
    text = text.replace("\n", " ")
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return text
