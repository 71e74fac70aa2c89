"""The report of a comparison: report.html, README.md and figures/, from comparison.json alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feathertune.folders.comparison import Comparison, ComparisonFolder, MethodResult, PairResult
from feathertune.report.figures.canvas import Picture
from feathertune.report.figures.comparison import Cost, cost_figure, costing, methods_figure, steps_aside
from feathertune.report.figures.svg import inline_svg
from feathertune.report.page import render_markdown, render_page
from feathertune.report.pictures import write_figures
from feathertune.system.files import write_text
from feathertune.version import __version__
from feathertune.wording.duration import duration
from feathertune.wording.markdown import markdown_table
from feathertune.wording.metrics import TITLES
from feathertune.wording.numbers import DASH, count, narrow_span, number, percent, points
from feathertune.wording.size import size
from feathertune.wording.visible import shown

SECTIONS = [
    ("results", "Methods"),
    ("pairs", "Pairs"),
    ("costs", "Costs"),
    ("how", "How it was compared"),
]
COST_HEADS = ("training", "examples/s", "trained parameters", "peak memory", "artefact", "deployed", "latency")
COST_NOTE = (
    "Costs are medians over seeds. Memory is the peak of the whole process, Python and its libraries included. The "
    "artefact is what training produced; the deployed size includes everything that prediction needs, which for an "
    "adapter is its base too. Latency is the median over single texts."
)
MAX_NAME = 60


def write_comparison_report(folder: Path) -> Path:
    """Write figures/*.png, README.md and report.html of the comparison in `folder`. Returns the page's path."""
    names = ComparisonFolder(folder)
    comparison = Comparison.read(names.comparison)
    pictures = comparison_pictures(comparison)
    write_figures(pictures, names.figures)
    facts = _facts(folder, comparison, pictures)
    write_text(names.card, render_markdown("comparison.md", facts))
    write_text(names.report, render_page("comparison.html", facts))
    return names.report


def comparison_pictures(comparison: Comparison) -> dict[str, Picture]:
    """Name -> picture: the methods, and accuracy against time and size as far as these are known."""
    methods, split = comparison.methods, comparison.main_split
    over = "examples and seeds" if max(len(method.seeds) for method in methods) > 1 else "examples"
    pictures = [
        Picture("methods", methods_figure(methods, split), f"Accuracy on {split}, with 95% intervals over {over}.")
    ]
    costs: tuple[tuple[str, Cost], ...] = (("time", "train_seconds"), ("size", "deployed_bytes"))
    for name, cost in costs:
        if costing(methods, cost):
            pictures.append(Picture(name, cost_figure(methods, split, cost), _cost_caption(methods, cost)))
    return {picture.name: picture for picture in pictures}


def _cost_caption(methods: Sequence[MethodResult], cost: Cost) -> str:
    against = "training time" if cost == "train_seconds" else "deployed size, which for an adapter includes its base"
    caption = f"Accuracy against {against}. Higher is better; further left is cheaper."
    if any(steps_aside(methods, cost)):
        caption += " Methods with almost the same value are drawn side by side."
    if any(method.deployed_bytes is None for method, _ in costing(methods, cost)) and cost == "deployed_bytes":
        caption += " Where the deployed size is not known, it is the size of the artefact."
    return caption


def headline(comparison: Comparison) -> str:
    """The method with the highest accuracy, and those that it is not shown to be better than."""
    split = comparison.main_split
    ranked = sorted(comparison.methods, key=lambda method: -_accuracy(method, split))
    first = ranked[0]
    name = shown(first.name, MAX_NAME)
    sentence = f"{name[0].upper()}{name[1:]} has the highest accuracy: {percent(_accuracy(first, split))}"
    equal = [shown(other.name, MAX_NAME) for other in ranked[1:] if not _differ(comparison, first, other, split)]
    if not equal:
        return sentence
    listed = " or ".join([", ".join(equal[:-1]), equal[-1]] if len(equal) > 1 else equal)
    return f"{sentence}. It is not shown to be better than {listed}"


def _accuracy(method: MethodResult, split: str) -> float:
    return method.metrics[split]["accuracy"].value or 0.0


def _differ(comparison: Comparison, first: MethodResult, other: MethodResult, split: str) -> bool:
    """Whether the two differ significantly in accuracy."""
    return any(
        {pair.first, pair.second} == {first.method, other.method} and pair.split == split and pair.significant
        for pair in comparison.pairs
        if pair.metric == "accuracy"
    )


def _facts(folder: Path, comparison: Comparison, pictures: dict[str, Picture]) -> dict[str, object]:
    """What both templates show."""
    title = headline(comparison)
    costs = [_cost_row(method) for method in comparison.methods]
    return {
        "name": folder.resolve().name,
        "title": title,
        "headline": title,
        "version": __version__,
        "sections": SECTIONS,
        "command_path": str(folder),
        "pictures": pictures,
        "drawn": {name: inline_svg(picture.figure, name, picture.caption) for name, picture in pictures.items()},
        "ratio": _time_ratio(comparison),
        "tables": [_metric_table(comparison, split) for split in comparison.methods[0].metrics],
        "pairs": [_pair_row(comparison, pair) for pair in comparison.pairs if pair.metric == "accuracy"],
        "other_pairs": _other_pairs(comparison),
        "sentences": comparison.sentences,
        "cost_heads": COST_HEADS,
        "costs": costs,
        "cost_table": markdown_table(["", *COST_HEADS], costs),
        "cost_note": COST_NOTE,
        "budget": comparison.budget,
        "notes": comparison.notes,
        "runs": [run for method in comparison.methods for run in method.runs],
    }


@dataclass(frozen=True)
class MetricCell:
    """A metric of a method: its value and its interval, which is empty where there is none."""

    value: str
    interval: str = ""


@dataclass(frozen=True)
class MetricTable:
    """The metrics of all methods on one split: `heads` without the first column; rows of a name and its cells."""

    title: str
    heads: list[str]
    rows: list[tuple[str, list[MetricCell]]]

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        rows = [
            [name, *(f"{cell.value} ({cell.interval})" if cell.interval else cell.value for cell in cells)]
            for name, cells in self.rows
        ]
        return markdown_table(["", *self.heads], rows)


def _metric_table(comparison: Comparison, split: str) -> MetricTable:
    """Accuracy before and after and every other metric, a row for each method."""
    methods = comparison.methods
    metrics = [name for name in TITLES if name != "loss" and name in methods[0].metrics[split]]
    rows = []
    for method in methods:
        before = method.before.get(split, {}).get("accuracy")
        estimates = [method.metrics[split][name] for name in metrics]
        cells = [MetricCell(percent(None if before is None else before.value))]
        cells += [MetricCell(percent(estimate.value), narrow_span(estimate.interval)) for estimate in estimates]
        rows.append((method.title, cells))
    heads = ["accuracy before", "accuracy", *(TITLES[name] for name in metrics if name != "accuracy")]
    parts = [split]
    if split in comparison.splits:
        parts.append(count(comparison.splits[split], "example"))
    if comparison.seeds:
        parts.append(count(len(comparison.seeds), "seed"))
    return MetricTable(", ".join(parts), heads, rows)


@dataclass(frozen=True)
class PairRow:
    """The difference in accuracy of two methods, as it is written."""

    first: str
    second: str
    split: str
    difference: str
    interval: str
    p: str
    significant: bool
    sentence: str


def _pair_row(comparison: Comparison, pair: PairResult) -> PairRow:
    names = {method.method: method.title for method in comparison.methods}
    return PairRow(
        first=names.get(pair.first, pair.first),
        second=names.get(pair.second, pair.second),
        split=pair.split,
        difference=points(pair.difference),
        interval=narrow_span((pair.low, pair.high)),
        p="< 0.001" if pair.p_adjusted < 0.001 else f"{pair.p_adjusted:.3f}",
        significant=pair.significant,
        sentence=pair.sentence,
    )


def _other_pairs(comparison: Comparison) -> dict[str, list[str]]:
    """Split -> the sentences on every metric but accuracy, which do not name their split."""
    by_split: dict[str, list[str]] = {}
    for pair in comparison.pairs:
        if pair.metric != "accuracy":
            by_split.setdefault(pair.split, []).append(pair.sentence)
    return by_split


def _cost_row(method: MethodResult) -> list[str]:
    """The method's name and its costs, in the order of COST_HEADS."""
    memory, latency = method.peak_memory_mib, method.latency_ms
    return [
        method.title,
        DASH if method.train_seconds is None else duration(method.train_seconds),
        number(method.train_examples_per_second),
        number(method.trainable_parameters),
        DASH if memory is None else f"{number(memory)} MiB",
        DASH if method.artefact_bytes is None else size(method.artefact_bytes),
        DASH if method.deployed_bytes is None else size(method.deployed_bytes),
        DASH if latency is None else f"{latency:.2f} ms",
    ]


def _time_ratio(comparison: Comparison) -> str | None:
    ratio = comparison.time_ratio_lora_full
    return None if ratio is None else f"LoRA took {ratio:.2f} times as long to train as full fine-tuning."
