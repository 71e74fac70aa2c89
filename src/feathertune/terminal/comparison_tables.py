"""A comparison on the terminal: tables of metrics and costs, then the results in sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from feathertune.folders.comparison import Comparison, Estimate, MethodResult
from feathertune.wording.duration import duration
from feathertune.wording.metrics import TITLES
from feathertune.wording.numbers import DASH, count, number, percent
from feathertune.wording.size import size
from feathertune.wording.visible import visible

_RATES = ("precision", "recall", "f1", "roc_auc", "ece")
# short names: the tables are at most 100 columns wide
_METHODS = {"majority": "majority", "full": "full"}
_METRICS = TITLES | {"ece": "calib. error"}


@dataclass(frozen=True)
class Grid:
    """One table: a title, the headers of the columns, and rows with a cell for each; the first column holds names."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def comparison_table(comparison: Comparison) -> Group:
    """Tables of at most 100 columns, then their results in sentences: those about LoRA if it was compared."""
    parts: list[RenderableType] = []
    for grid in grids(comparison):
        table = Table(title=Text(grid.title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column, header in enumerate(grid.headers):
            table.add_column(header, justify="right" if column else "left", no_wrap=True)
        for row in grid.rows:
            table.add_row(*(Text(cell) for cell in row))
        parts.append(table)
    about_lora = [sentence for sentence in comparison.sentences if re.search(r"LoRA(?! \+)", sentence)]
    lines = [*(about_lora or comparison.sentences), *(f"note: {note}" for note in comparison.notes)]
    return Group(*parts, *(Text(visible(line)) for line in lines))


def grids(comparison: Comparison) -> list[Grid]:
    """For each split the metrics of every method; then the costs of every method."""
    result = []
    for split, examples in comparison.splits.items():
        title = f"{split}, {count(examples, 'example')}, {count(len(comparison.seeds), 'seed')}"
        rates = (_METRICS[name].replace(" ", "\n") for name in _RATES)
        headers = ("", "accuracy\nbefore", "\nafter", "95% interval\n(after)", *rates)
        result.append(Grid(title, headers, tuple(_metrics_row(method, split) for method in comparison.methods)))
    headers = ("", "training", "examples/s", "trained", "peak MiB", "artefact", "deployed", "latency")
    result.append(Grid("Costs", headers, tuple(map(_costs_row, comparison.methods))))
    return result


def _metrics_row(method: MethodResult, split: str) -> tuple[str, ...]:
    after, before = method.metrics[split], method.before.get(split)
    return (
        _title(method),
        DASH if before is None else percent(before["accuracy"].value),
        percent(after["accuracy"].value),
        _interval(after["accuracy"]),
        *(percent(after[metric].value) for metric in _RATES),
    )


def _interval(estimate: Estimate) -> str:
    if estimate.interval is None:
        return DASH
    low, high = estimate.interval
    return f"{100 * low:.1f} to {high:.1%}"


def _costs_row(method: MethodResult) -> tuple[str, ...]:
    return (
        _title(method),
        DASH if method.train_seconds is None else duration(method.train_seconds),
        number(method.train_examples_per_second),
        number(method.trainable_parameters),
        number(method.peak_memory_mib),
        DASH if method.artefact_bytes is None else size(method.artefact_bytes),
        DASH if method.deployed_bytes is None else size(method.deployed_bytes),
        DASH if method.latency_ms is None else f"{method.latency_ms:.2f} ms",
    )


def _title(method: MethodResult) -> str:
    return _METHODS.get(method.method, visible(method.title))
