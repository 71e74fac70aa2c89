"""The metrics of a run or of one evaluation as rich tables, at most 100 columns wide."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from feathertune.folders.metrics import Metrics
from feathertune.folders.summary import Summary
from feathertune.report.before_after import (
    HEADS,
    bias_note,
    caption,
    left_out_note,
    split_tables,
    split_title,
    title_of,
)
from feathertune.wording.metrics import TITLES, metric_interval, metric_value
from feathertune.wording.numbers import percent
from feathertune.wording.visible import shortened

MAX_NAME = 24


def before_after_table(summary: Summary) -> Table:
    """The metrics of each split before and after training, then costs and verdicts. Long titles wrap first."""
    table = _table(HEADS, caption(summary))
    for block in split_tables(summary):
        table.add_row(Text(block.title, style="bold"))
        for row in block.rows:
            table.add_row(*(Text(cell) for cell in (row.title, *row.cells)))
        table.add_section()
    return table


def metrics_table(metrics: Metrics) -> Table:
    """One evaluation: each metric with its 95% interval, then the scores of each class."""
    notes = [note for note in (bias_note(metrics), left_out_note({"after": metrics})) if note]
    table = _table(("value", "95% interval"), notes, title=split_title(metrics))
    for name in TITLES:
        cells = title_of(name, metrics), metric_value(name, metrics.value(name))
        table.add_row(*map(Text, (*cells, metric_interval(name, metrics.interval(name)))))
    table.add_section()
    for label, scores in metrics.per_class.items():
        rates = f"precision {percent(scores.precision)}, recall {percent(scores.recall)}, F1 {percent(scores.f1)}"
        if not metrics.occurs(label):
            rates = "neither in labels nor in predictions"
        table.add_row(*map(Text, (shortened(label, MAX_NAME), f"{scores.support:,} examples", rates)))
    return table


def _table(heads: tuple[str, ...], lines: list[str], title: str | None = None) -> Table:
    """An empty table with a first column for names, and the lines below it."""
    table = Table(
        title=None if title is None else Text(title),
        caption=Text("\n".join(lines)) if lines else None,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table
