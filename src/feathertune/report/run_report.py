"""The report of a run: report.html, README.md and figures/, from the files of its folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from feathertune.folders.metrics import Interval, Metrics
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.report import sentences, training_sentences, usage
from feathertune.report.before_after import STAGE_NAMES, Row, SplitTable, left_out_note, split_tables
from feathertune.report.card import run_card
from feathertune.report.facts import RunFacts
from feathertune.report.figures.canvas import Picture
from feathertune.report.figures.svg import inline_svg
from feathertune.report.headline import caveat, headline, quantization_effect
from feathertune.report.page import render_page
from feathertune.report.pictures import run_pictures, write_figures
from feathertune.report.provenance import of_base, of_data
from feathertune.system.files import write_text
from feathertune.version import __version__
from feathertune.wording.numbers import DASH, MINUS, narrow_span, percent, points
from feathertune.wording.visible import visible

ONLY_PNG = {"confusion"}  # on the page it is a table
MAX_CLASSES = 40
MAX_CLASSES_IN_DATA = 6
MAX_CONFUSIONS = 12
MAX_EXAMPLES = 8
MAX_MISTAKES = 12
SECTIONS = {
    "results": "Results",
    "predictions": "Predictions",
    "calibration": "Calibration",
    "errors": "Errors",
    "training": "Training",
    "data": "Data",
    "use": "How to use it",
    "limits": "Limits",
    "reproduce": "Reproduce",
}


def write_run_report(run: RunFolder, summary: Summary) -> Path:
    """Write figures/*.png, README.md and report.html, each atomically. Returns the page's path.

    Args:
        run: the folder, complete but for summary.json.
        summary: the content of summary.json, which may not be written yet.
    """
    facts = RunFacts(run, summary)
    pictures = run_pictures(facts)
    write_figures(pictures, run.figures)
    write_text(run.card, run_card(facts, pictures))
    write_text(run.report, render_page("run.html", _content(facts, pictures)))
    return run.report


def _content(facts: RunFacts, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """What the template shows."""
    summary, split, path = facts.summary, facts.split, str(facts.run.path)
    title = headline(facts)
    command, introduction = usage.origin(facts)
    has_section = {"errors": facts.errors is not None, "calibration": "reliability" in pictures}
    bias = sentences.bias_sentences(facts, split)
    classes = list(facts.after.per_class.items())
    return {
        "title": title.title,
        "version": __version__,
        "sections": [(anchor, name) for anchor, name in SECTIONS.items() if has_section.get(anchor, True)],
        "command_path": path,
        "summary": summary,
        "split": split,
        "stages": summary.stages(split),
        "method": training_sentences.method_title(facts),
        "finished": summary.finished[:10],
        "headline": title,
        "quantization_effect": quantization_effect(facts),
        "caveat": caveat(facts),
        "costs": training_sentences.costs(facts),
        "tables": [_table(facts, table) for table in split_tables(summary)],
        "metrics": facts.after,
        "classes": classes[:MAX_CLASSES],
        "confusions": _confusions(facts.after),
        "pictures": pictures,
        "drawn": {
            name: inline_svg(picture.figure, name, picture.caption)
            for name, picture in pictures.items()
            if name not in ONLY_PNG
        },
        "calibration_lines": [*sentences.calibration_lines(facts), *([bias] if bias else [])],
        "errors": facts.errors,
        "error_lines": sentences.error_lines(facts),
        "has_ratings": facts.errors is not None and facts.errors.by_rating is not None,
        "max_mistakes": MAX_MISTAKES,
        "training_paragraph": training_sentences.training_paragraph(facts),
        "environment": sentences.environment_lines(facts),
        "data": facts.data,
        "data_lines": sentences.data_lines(facts),
        "data_labels": facts.data.label_names if len(classes) <= MAX_CLASSES_IN_DATA else (),
        "examples": [example for one in facts.data.splits.values() for example in one.examples][:MAX_EXAMPLES],
        "commands": usage.commands(facts, path),
        "python": usage.python(path),
        "peft_python": usage.peft_python(facts, path),
        "peft_note": usage.peft_note(facts),
        "limits": sentences.limits(facts),
        "licences": _licences(facts),
        "command": command,
        "introduction": introduction,
        "recipe_text": "\n".join(visible(line) for line in facts.recipe_text.splitlines()),
    }


def _licences(facts: RunFacts) -> list[tuple[str, str]]:
    """The licences of the base, if there is one, and of the data."""
    licences = [("base", of_base(facts.base).licence_in_words), ("data", of_data(facts.data).licence_in_words)]
    return licences if facts.base is not None else licences[1:]


@dataclass(frozen=True)
class PageTable:
    """The metrics of one split: `heads` for the stages; rows of a title, cells (value, interval) and a change."""

    title: str
    heads: list[str]
    rows: list[tuple[str, list[tuple[str, str]], str]]
    note: str | None


def _table(facts: RunFacts, table: SplitTable) -> PageTable:
    """The table as the page shows it, with every stage."""
    rows = [(row.title, [_cell(row, stage) for stage in table.stages], _change(row)) for row in table.rows]
    notes = []
    if (bias := sentences.bias_sentences(facts, table.split)) is not None:
        notes.append(bias)
        if table.split == facts.split:
            notes.append("The headline and the figure use cross-fitted values, also for before training.")
    if (left_out := left_out_note(facts.summary.stages(table.split))) is not None:
        notes.append(f"{left_out[0].upper()}{left_out[1:]}.")
    return PageTable(table.title, [STAGE_NAMES[stage] for stage in table.stages], rows, " ".join(notes) or None)


def _cell(row: Row, stage: str) -> tuple[str, str]:
    """A value and its interval. The majority class is taken as known."""
    value, interval = row.values[stage], row.intervals[stage]
    written = percent(value) if row.metric != "loss" or value is None else f"{value:.3f}"
    return written, "" if stage == "majority" else _interval(row.metric, interval)


def _interval(metric: str, interval: Interval | None) -> str:
    return narrow_span(interval, 1, 2) if metric == "loss" else narrow_span(interval)


def _change(row: Row) -> str:
    if row.change is None:
        return DASH
    if row.metric != "loss":
        return points(row.change)
    return f"{round(row.change, 3) + 0.0:+.3f}".replace("-", MINUS)


def _confusions(metrics: Metrics) -> list[tuple[int, str, str]]:
    """The most frequent confusions: (count, true class, predicted class)."""
    names = metrics.label_names
    confusions = [
        (count, names[true], names[predicted])
        for true, row in enumerate(metrics.confusion_matrix)
        for predicted, count in enumerate(row)
        if true != predicted and count
    ]
    return sorted(confusions, reverse=True)[:MAX_CONFUSIONS]
