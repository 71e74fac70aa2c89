"""comparison.json's content for people: two rich tables for the terminal, and the same with sentences as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from feathertune.terminal.run_tables import DASH, escaped, markdown_row
from feathertune.wording.duration import duration
from feathertune.wording.visible import visible

_RATES = {"precision": "precision", "recall": "recall", "f1": "F1", "roc_auc": "ROC\nAUC", "ece": "calib.\nerror"}
_ROWS = {"majority": "majority", "bag_of_words": "bag of words", "head": "head alone", "full": "full", "lora": "LoRA"}
_ROWS |= {"qat": "LoRA + QAT"}


@dataclass(frozen=True)
class Grid:
    """One table: a title, the columns' headers, rows of as many cells; the first column is words."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def comparison_table(comparison: Mapping[str, Any]) -> Group:
    """Tables of at most 100 columns, then what they show in sentences: where there is LoRA, what it shows of LoRA."""
    parts: list[Any] = []
    for grid in grids(comparison):
        table = Table(title=Text(grid.title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column, header in enumerate(grid.headers):
            table.add_column(header, justify="right" if column else "left", no_wrap=True)
        for row in grid.rows:
            table.add_row(*(Text(cell) for cell in row))
        parts.append(table)
    own = [sentence for sentence in comparison["sentences"] if re.search(r"LoRA(?! \+)", sentence)]
    lines = [*(own or comparison["sentences"]), *(f"note: {note}" for note in comparison["notes"])]
    return Group(*parts, *(Text(visible(line)) for line in lines))


def comparison_markdown(comparison: Mapping[str, Any]) -> str:
    """The whole of comparison.md."""
    parts = ["# Comparison", _paragraph(comparison["budget"])]
    for grid in grids(comparison):
        lines = [
            markdown_row(grid.headers),
            "| :-- |" + " --: |" * (len(grid.headers) - 1),
            *map(markdown_row, grid.rows),
        ]
        parts += [f"## {escaped(grid.title)}", "\n".join(lines)]
    parts += ["## What it shows", "\n".join(f"* {escaped(sentence)}" for sentence in comparison["sentences"])]
    parts.append(
        "Figures are means over seeds with 95% intervals over examples and seeds; pairs are compared on the same "
        "examples, and a difference counts as shown only after Holm's correction for the number of pairs. Costs are "
        "medians over seeds; memory is the peak of a run's whole process, Python and its libraries included. Latency "
        "is the median of single texts. The artefact is what training left; deployed, it may need the base beside it."
    )
    parts += [f"*{escaped(note)}*" for note in comparison["notes"]]
    return "\n\n".join(parts) + "\n"


def grids(comparison: Mapping[str, Any]) -> list[Grid]:
    """For each split the metrics of each method; then what each costs."""
    seeds = len(comparison["seeds"])
    found = []
    for split, count in comparison["splits"].items():
        title = f"{split}, {count:,} examples, {seeds} seed{'s' if seeds > 1 else ''}"
        headers = ("", "accuracy\nbefore", "\nafter", "95% interval\n(after)", *_RATES.values())
        found.append(Grid(title, headers, tuple(_metrics_row(method, split) for method in comparison["methods"])))
    headers = ("", "training", "examples/s", "trained", "peak MiB", "artefact", "deployed", "latency")
    found.append(Grid("Costs", headers, tuple(map(_costs_row, comparison["methods"]))))
    return found


def _metrics_row(method: Mapping[str, Any], split: str) -> tuple[str, ...]:
    after, before = method["metrics"][split], method["before"].get(split)
    accuracy = after["accuracy"]
    interval = DASH if accuracy["low"] is None else f"{100 * accuracy['low']:.1f} to {accuracy['high']:.1%}"
    return (
        _ROWS[method["method"]],
        DASH if before is None else _rate(before["accuracy"]),
        _rate(accuracy),
        interval,
        *(_rate(after[metric]) for metric in _RATES),
    )


def _rate(value: Mapping[str, float | None]) -> str:
    return DASH if value["value"] is None else f"{value['value']:.1%}"


def _costs_row(method: Mapping[str, Any]) -> tuple[str, ...]:
    speed = method["train_examples_per_second"]
    return (
        _ROWS[method["method"]],
        duration(method["train_seconds"]),
        DASH if speed is None else f"{speed:,.0f}",
        f"{method['trainable_parameters']:,}",
        f"{method['peak_memory_mib']:,.0f}",
        _size(method["artefact_bytes"]),
        _size(method["deployed_bytes"]),
        f"{method['latency_ms']:.2f} ms",
    )


def _size(number: int) -> str:
    if number < 2**20:
        return f"{number / 2**10:,.1f} KiB"
    return f"{number / 2**20:,.1f} MiB"


def _paragraph(sentences: list[str]) -> str:
    return " ".join(escaped(sentence) for sentence in sentences)
