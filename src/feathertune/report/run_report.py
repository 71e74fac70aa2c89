"""A run folder's report: report.html and README.md, both from its files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feathertune.folders.run import RunFolder
from feathertune.report import training_words, use, wording
from feathertune.report.answer import answer, caveat, rounding
from feathertune.report.card import run_card
from feathertune.report.facts import RunFacts
from feathertune.report.figures.canvas import Picture
from feathertune.report.figures.svg import inline_svg
from feathertune.report.page import (
    DASH,
    MINUS,
    narrow_span,
    percent,
    points,
    render_page,
)
from feathertune.report.pictures import run_pictures, write_figures
from feathertune.report.provenance import of_base, of_data
from feathertune.system.files import write_text
from feathertune.terminal.run_tables import ROWS, metric_title
from feathertune.version import __version__
from feathertune.wording.visible import visible

HEADS = {"majority": "majority class", "before": "before", "float": "float32", "ptq": "rounded", "after": "after"}
IN_PNG = {"confusion"}  # on the page it is a table
MAX_CLASSES = 40
MAX_EXAMPLES = 8
MAX_MISTAKES = 12
SECTIONS = {
    "results": "Before and after",
    "answers": "What it answers",
    "calibration": "Probabilities",
    "errors": "Errors",
    "training": "Training",
    "data": "Data",
    "use": "How to use it",
    "limits": "Limits",
    "again": "Again",
}


def write_run_report(run: RunFolder, summary: Mapping[str, Any]) -> Path:
    """Write figures/*.png, README.md and report.html, each atomically. Returns the page's path.

    Args:
        summary: the content of summary.json, which may not be written yet.
    """
    facts = RunFacts(run, summary)
    pictures = run_pictures(facts)
    write_figures(pictures, run.figures)
    write_text(run.card, run_card(facts, pictures))
    write_text(run.report, render_page("run.html", _page(facts, pictures)))
    return run.report


def _page(facts: RunFacts, pictures: dict[str, Picture]) -> dict[str, Any]:
    """Everything the template names."""
    summary, split, path = facts.summary, facts.split, str(facts.run.path)
    drawn = {name: inline_svg(one.figure, name, one.caption) for name, one in pictures.items() if name not in IN_PNG}
    found = answer(facts)
    command, made = use.made_by(facts)
    present = {"errors": bool(facts.errors), "calibration": "reliability" in pictures}
    classes = list(summary["after"][split]["per_class"].items())
    examples = [example for one in facts.data["splits"].values() for example in one["examples"]]
    return {
        "title": found.headline,
        "version": __version__,
        "sections": [(anchor, name) for anchor, name in SECTIONS.items() if present.get(anchor, True)],
        "command_path": path,
        "summary": summary,
        "split": split,
        "stages": facts.stages(split),
        "method": training_words.method_name(facts),
        "finished": summary.get("finished", "")[:10],
        "answer": found,
        "rounding": rounding(facts),
        "caveat": caveat(facts),
        "costs": training_words.costs(facts),
        "tables": [_table(facts, name) for name in summary["after"]],
        "classes": classes[:MAX_CLASSES],
        "confused": _confused(summary["after"][split]),
        "pictures": pictures,
        "drawn": drawn,
        "calibration": facts.calibration,
        "calibration_lines": wording.calibration_lines(facts),
        "errors": facts.errors,
        "error_lines": wording.error_lines(facts),
        "rated": facts.errors is not None and facts.errors["by_rating"] is not None,
        "most": MAX_MISTAKES,
        "trained": training_words.trained(facts),
        "environment": wording.environment_lines(facts),
        "data": facts.data,
        "data_lines": wording.data_lines(facts),
        "data_labels": facts.data["label_names"] if len(classes) <= 6 else [],
        "examples": examples[:MAX_EXAMPLES],
        "use_commands": use.use_commands(facts, path),
        "use_python": use.use_python(path),
        "peft_python": use.peft_python(facts, path),
        "peft_note": use.peft_note(facts),
        "limits": wording.limits(facts),
        "licences": [
            *([("base", of_base(facts.base).licence_in_words)] if facts.base is not None else []),
            ("data", of_data(facts.data).licence_in_words),
        ],
        "command": command,
        "made": made,
        "recipe_text": "\n".join(visible(line) for line in facts.recipe_text.splitlines()),
    }


def _table(facts: RunFacts, split: str) -> dict[str, Any]:
    """One split's table: title, heads, a note, and for each metric its cells (value, interval) by stage and change."""
    stages = facts.stages(split)
    after, before = stages["after"], stages.get("before", {})
    rows = []
    for name in [name for name in ROWS if name in after]:
        cells = [
            (_value(name, metrics.get(name)), _interval(name, metrics) if stage != "majority" else "")
            for stage, metrics in stages.items()
        ]
        rows.append({"title": metric_title(name, after), "cells": cells, "change": _change(name, before, after)})
    heads = [HEADS[stage] for stage in stages]
    title = f"{split}, {after['num_examples']:,} examples"
    return {"title": title, "heads": heads, "rows": rows, "note": wording.flattered(facts, split)}


def _value(name: str, value: float | None) -> str:
    return percent(value) if name != "loss" or value is None else f"{value:.3f}"


def _interval(name: str, metrics: Mapping[str, Any]) -> str:
    interval = metrics.get("intervals", {}).get(name)
    return narrow_span(interval, 1, 2) if name == "loss" else narrow_span(interval)


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if before.get(name) is None or after.get(name) is None:
        return DASH
    difference = after[name] - before[name]
    return f"{round(difference, 3) + 0.0:+.3f}".replace("-", MINUS) if name == "loss" else points(difference)


def _confused(metrics: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """The most frequent mistakes, (times, true class, answer)."""
    names = metrics["label_names"]
    wrong = [
        (count, names[true], names[said])
        for true, row in enumerate(metrics["confusion_matrix"])
        for said, count in enumerate(row)
        if true != said and count
    ]
    return sorted(wrong, reverse=True)[:12]
