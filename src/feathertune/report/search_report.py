"""A search's report: report.html, README.md and figures/, from tune.json alone.

tune.json has `trials`, each with `number`, `params`, `value` and `state` (complete for a finished one); `importances`,
setting -> share; and what was searched for: `metric`, whether it is `maximized`, and the `split`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.report.figures.canvas import Picture
from feathertune.report.figures.search import importance_figure, parallel_figure, trials_figure
from feathertune.report.figures.svg import inline_svg
from feathertune.report.page import percent, render_page, shown
from feathertune.report.pictures import write_figures
from feathertune.system.files import read_json, write_text
from feathertune.terminal.run_tables import ROWS, escaped
from feathertune.version import __version__

FILE = "tune.json"
FINISHED = "complete"
MAX_ROWS = 20


def write_search_report(folder: Path) -> Path:
    """Write figures/*.png, README.md and report.html of the search in `folder`. Returns the page's path.

    Raises UserError where no trial is finished.
    """
    search = read_json(folder / FILE)
    ranked = ranked_trials(search)
    if not ranked:
        raise UserError("no trial of this search is finished", where=str(folder / FILE))
    pictures = search_pictures(search)
    write_figures(pictures, folder / "figures")
    facts = _page(folder, search, ranked, pictures)
    write_text(folder / "README.md", _markdown(folder, facts, pictures))
    page = folder / "report.html"
    write_text(page, render_page("search.html", facts))
    return page


def ranked_trials(search: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The finished trials, the best first."""
    finished = [trial for trial in search["trials"] if trial["state"] == FINISHED]
    sign = -1 if _larger_is_better(search) else 1
    return sorted(finished, key=lambda trial: (sign * trial["value"], trial["number"]))


def search_pictures(search: Mapping[str, Any]) -> dict[str, Picture]:
    """Name -> picture."""
    ranked, metric = ranked_trials(search), _metric(search)
    in_order = sorted(ranked, key=lambda trial: trial["number"])
    best = max(1, math.ceil(len(ranked) / 10))
    pictures = []
    if search.get("importances"):
        caption = "How much of the variation between trials each setting explains."
        pictures.append(Picture("importance", importance_figure(search["importances"]), caption))
    caption = "Each line is a trial, through its settings to its value: the best orange, the best tenth blue."
    pictures.append(Picture("parallel", parallel_figure(ranked, metric, best), caption))
    figure = trials_figure(in_order, metric, larger_is_better=_larger_is_better(search))
    pictures.append(Picture("trials", figure, "The value of each finished trial, and the best so far."))
    return {picture.name: picture for picture in pictures}


def _page(
    folder: Path, search: Mapping[str, Any], ranked: list[Mapping[str, Any]], pictures: Mapping[str, Picture]
) -> dict[str, Any]:
    """Everything the template names."""
    names = list(dict.fromkeys(name for trial in ranked for name in trial["params"]))
    states = Counter(trial["state"].lower() for trial in search["trials"])
    split = search.get("split", "validation")
    best = ranked[0]
    headline = f"The best of {len(ranked)} settings: {_metric(search)} {_value(search, best['value'])} on {split}"
    return {
        "title": headline,
        "headline": headline,
        "version": __version__,
        "sections": [("settings", "Settings"), ("trials", "Trials")],
        "command_path": str(folder),
        "caveat": (
            f"It was chosen by this very value, as the best of {len(ranked)}, so on new texts expect less. Train it "
            "with other seeds and evaluate it on test before you believe it."
        ),
        "best": [(name, _setting(value)) for name, value in best["params"].items()],
        "states": ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
        "pictures": pictures,
        "drawn": {name: inline_svg(picture.figure, name, picture.caption) for name, picture in pictures.items()},
        "names": names,
        "metric": _metric(search),
        "rows": [
            (trial["number"], _value(search, trial["value"]), [_setting(trial["params"].get(name)) for name in names])
            for trial in ranked[:MAX_ROWS]
        ],
        "count": len(ranked),
    }


def _markdown(folder: Path, facts: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    heads = ["trial", facts["metric"], *facts["names"]]
    rows = [[str(trial), value, *settings] for trial, value, settings in facts["rows"]]
    lines = [heads, ["--:"] * len(heads), *rows]
    table = "\n".join(
        "| " + " | ".join(cell if cell == "--:" else escaped(cell) for cell in line) + " |" for line in lines
    )
    parts = [
        f"# {escaped(folder.resolve().name)}",
        f"**{escaped(facts['headline'])}.** {escaped(facts['caveat'])}",
        "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in facts["best"]),
        *(f"![{escaped(picture.caption)}](figures/{picture.name}.png)" for picture in pictures.values()),
        "## The best trials",
        table,
        f"Trials: {escaped(facts['states'])}. Written by `feathertune report` from tune.json.",
    ]
    return "\n\n".join(parts) + "\n"


def _larger_is_better(search: Mapping[str, Any]) -> bool:
    return bool(search["maximized"])


def _metric(search: Mapping[str, Any]) -> str:
    name = str(search.get("metric", "value"))
    return ROWS.get(name, name)


def _value(search: Mapping[str, Any], value: float) -> str:
    return percent(value, 2) if search.get("metric") in ROWS and search["metric"] != "loss" else f"{value:.4g}"


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown("" if value is None else value, 60)
