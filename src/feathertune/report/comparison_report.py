"""A comparison folder's report: report.html, README.md and figures/, from comparison.json alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from feathertune.report.figures.canvas import Picture
from feathertune.report.figures.comparison import (
    cost_figure,
    costing,
    methods_figure,
    size,
    steps_aside,
)
from feathertune.report.figures.svg import inline_svg
from feathertune.report.page import (
    DASH,
    narrow_span,
    number,
    percent,
    points,
    render_page,
    shown,
)
from feathertune.report.pictures import write_figures
from feathertune.system.files import read_json, write_text
from feathertune.terminal.run_tables import ROWS, escaped
from feathertune.version import __version__
from feathertune.wording.duration import duration

FILE = "comparison.json"
TITLES = ROWS | {"ece": "calibration error"}
SECTIONS = [
    ("results", "Methods"),
    ("pairs", "Pairs"),
    ("costs", "Costs"),
    ("how", "How it was compared"),
]


def write_comparison_report(folder: Path) -> Path:
    """Write figures/*.png, README.md and report.html of the comparison in `folder`. Returns the page's path."""
    comparison = read_json(folder / FILE)
    pictures = comparison_pictures(comparison)
    write_figures(pictures, folder / "figures")
    write_text(folder / "README.md", _markdown(folder, comparison, pictures))
    page = folder / "report.html"
    write_text(page, render_page("comparison.html", _page(folder, comparison, pictures)))
    return page


def comparison_pictures(comparison: Mapping[str, Any]) -> dict[str, Picture]:
    """Name -> picture: the methods, and accuracy against time and size as far as these are known."""
    methods, split = comparison["methods"], main_split(comparison)
    seeds = max(_seeds(method) for method in methods)
    over = "examples and seeds" if seeds > 1 else "examples"
    pictures = [
        Picture("methods", methods_figure(methods, split), f"Accuracy on {split}, with 95% intervals over {over}.")
    ]
    for name, cost in (("time", "train_seconds"), ("size", "deployed_bytes")):
        if costing(methods, cost):
            pictures.append(Picture(name, cost_figure(methods, split, cost), _cost_caption(methods, cost)))
    return {picture.name: picture for picture in pictures}


def _cost_caption(methods: Sequence[Mapping[str, Any]], cost: str) -> str:
    shipped = "the size of all that has to be shipped to answer, an adapter's base included"
    caption = f"Accuracy against {'training time' if cost == 'train_seconds' else shipped}: "
    caption += "up is better, left is cheaper."
    if any(steps_aside(methods, cost)):
        caption += " Methods at almost one place stand side by side."
    if any(method.get(cost) is None for method, _ in costing(methods, cost)):
        caption += " Where that size is not known, it is that of what training left."
    return caption


def main_split(comparison: Mapping[str, Any]) -> str:
    """The split that the report speaks of first: test where there is one."""
    splits = list(comparison["methods"][0]["metrics"])
    return "test" if "test" in splits else splits[0]


def headline(comparison: Mapping[str, Any]) -> str:
    """Which method has the highest accuracy, and whether it is shown to be better than the next."""
    split = main_split(comparison)
    ranked = sorted(comparison["methods"], key=lambda method: -method["metrics"][split]["accuracy"]["value"])
    first = ranked[0]
    name = shown(_name(first), 60)
    begin = f"{name[0].upper()}{name[1:]} is right most often: {percent(first['metrics'][split]['accuracy']['value'])}"
    equal = [shown(_name(other), 60) for other in ranked[1:] if not _differ(comparison, first, other, split)]
    if len(ranked) == 1 or not equal:
        return begin
    listed = " or ".join([", ".join(equal[:-1]), equal[-1]] if len(equal) > 1 else equal)
    return f"{begin}. It is not shown to be better than {listed}"


def _differ(comparison: Mapping[str, Any], first: Mapping[str, Any], other: Mapping[str, Any], split: str) -> bool:
    """Whether the pair's difference in accuracy is shown, Holm's correction made."""
    wanted = {first["method"], other["method"]}
    return any(
        {pair["first"], pair["second"]} == wanted and pair["split"] == split and _is_shown(pair)
        for pair in comparison["pairs"]
        if pair["metric"] == "accuracy"
    )


def _is_shown(pair: Mapping[str, Any]) -> bool:
    return bool((pair["low"] > 0 or pair["high"] < 0) and pair["p_adjusted"] < 0.05)


def _page(folder: Path, comparison: Mapping[str, Any], pictures: dict[str, Picture]) -> dict[str, Any]:
    """Everything the template names."""
    title = headline(comparison)
    return {
        "title": title,
        "headline": title,
        "version": __version__,
        "sections": SECTIONS,
        "command_path": str(folder),
        "pictures": pictures,
        "drawn": {name: inline_svg(picture.figure, name, picture.caption) for name, picture in pictures.items()},
        "ratio": _ratio(comparison),
        "tables": [_metric_table(comparison, split) for split in comparison["methods"][0]["metrics"]],
        "pairs": [_pair_row(comparison, pair) for pair in comparison["pairs"] if pair["metric"] == "accuracy"],
        "other_pairs": _other_pairs(comparison),
        "cost_heads": COSTS[1:],
        "costs": _cost_table(comparison),
        "cost_note": COST_NOTE,
        "budget": comparison.get("budget", []),
        "notes": comparison.get("notes", []),
        "runs": [run for method in comparison["methods"] for run in method.get("runs", [])],
    }


def _metric_table(comparison: Mapping[str, Any], split: str) -> dict[str, Any]:
    """Accuracy before and after and every other metric, a row for each method; cells are (value, interval)."""
    methods = comparison["methods"]
    metrics = [name for name in TITLES if name != "loss" and name in methods[0]["metrics"][split]]
    rows = []
    for method in methods:
        before = method.get("before", {}).get(split, {}).get("accuracy", {}).get("value")
        cells = [(percent(before), "")]
        for name in metrics:
            found = method["metrics"][split][name]
            interval = None if found["low"] is None else (found["low"], found["high"])
            cells.append((percent(found["value"]), narrow_span(interval)))
        rows.append({"name": _name(method), "cells": cells})
    heads = ["accuracy before", "accuracy", *(TITLES[name] for name in metrics if name != "accuracy")]
    count = comparison.get("splits", {}).get(split)
    title = split if count is None else f"{split}, {count:,} examples"
    return {"title": title, "heads": heads, "rows": rows}


def _pair_row(comparison: Mapping[str, Any], pair: Mapping[str, Any]) -> dict[str, Any]:
    names = {method["method"]: _name(method) for method in comparison["methods"]}
    p_value = pair["p_adjusted"]
    return {
        "first": names.get(pair["first"], pair["first"]),
        "second": names.get(pair["second"], pair["second"]),
        "split": pair["split"],
        "difference": points(pair["difference"]),
        "interval": narrow_span((pair["low"], pair["high"])),
        "p": "< 0.001" if p_value < 0.001 else f"{p_value:.3f}",
        "shown": _is_shown(pair),
        "sentence": pair["sentence"],
    }


def _other_pairs(comparison: Mapping[str, Any]) -> dict[str, list[str]]:
    """Split -> the sentences of every metric but accuracy: the same sentence may be said of two splits."""
    told: dict[str, list[str]] = {}
    for pair in comparison["pairs"]:
        if pair["metric"] != "accuracy":
            told.setdefault(pair["split"], []).append(pair["sentence"])
    return told


def _cost_table(comparison: Mapping[str, Any]) -> list[list[str]]:
    """A row for each method, its cells as COSTS names them."""
    return [
        [
            _name(method),
            DASH if method.get("train_seconds") is None else duration(method["train_seconds"]),
            number(method.get("train_examples_per_second")),
            number(method.get("trainable_parameters")),
            DASH if method.get("peak_memory_mib") is None else f"{number(method['peak_memory_mib'])} MiB",
            DASH if method.get("artefact_bytes") is None else size(method["artefact_bytes"]),
            DASH if method.get("deployed_bytes") is None else size(method["deployed_bytes"]),
            DASH if method.get("latency_ms") is None else f"{method['latency_ms']:.2f} ms",
        ]
        for method in comparison["methods"]
    ]


COSTS = ("", "training", "examples/s", "trained parameters", "peak memory", "artefact", "deployed", "latency")
COST_NOTE = (
    "Medians over seeds. Memory is the peak of a whole run, Python included. The artefact is what training left; "
    "deployed is all that has to be shipped to answer, which for an adapter is its base too."
)


def _markdown(folder: Path, comparison: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    """The same as Markdown."""
    parts = [f"# {escaped(folder.resolve().name)}", f"**{escaped(headline(comparison))}.**"]
    parts += [escaped(line) for line in filter(None, [_ratio(comparison)])]
    for split in comparison["methods"][0]["metrics"]:
        table = _metric_table(comparison, split)
        rows = [
            [row["name"], *(f"{value} ({span})" if span else value for value, span in row["cells"])]
            for row in table["rows"]
        ]
        parts += [f"## {escaped(table['title'])}", _rows(["", *table["heads"]], rows)]
    parts += [
        "## Pairs",
        "\n".join(f"- {escaped(pair['split'])}: {escaped(pair['sentence'])}" for pair in comparison["pairs"]),
    ]
    parts += ["## Costs", _rows(list(COSTS), _cost_table(comparison)), escaped(COST_NOTE)]
    parts += [f"![{escaped(picture.caption)}](figures/{picture.name}.png)" for picture in pictures.values()]
    parts += [
        "## How it was compared",
        "\n".join(f"- {escaped(line)}" for line in [*comparison.get("budget", []), *comparison.get("notes", [])]),
    ]
    parts.append(
        "Written by `feathertune report` from comparison.json. [report.html](report.html) shows it with the pictures."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _rows(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, [":--", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join(
        "| " + " | ".join(cell if set(cell) <= set(":-") and cell else escaped(cell) for cell in line) + " |"
        for line in lines
    )


def _ratio(comparison: Mapping[str, Any]) -> str | None:
    ratio = comparison.get("time_ratio_lora_full")
    return None if ratio is None else f"LoRA took {ratio:.2f} of the time that full fine-tuning took."


def _name(method: Mapping[str, Any]) -> str:
    return str(method.get("name", method["method"]))


def _seeds(method: Mapping[str, Any]) -> int:
    seeds = method["seeds"]
    return seeds if isinstance(seeds, int) else len(seeds)
