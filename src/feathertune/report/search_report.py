"""The report of a search: report.html, README.md and figures/, from tune.json alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feathertune.errors import UserError
from feathertune.folders.search import Search, SearchFolder, Trial
from feathertune.report.figures.canvas import Picture
from feathertune.report.figures.search import importance_figure, parallel_figure, trials_figure
from feathertune.report.figures.svg import inline_svg
from feathertune.report.page import render_markdown, render_page
from feathertune.report.pictures import write_figures
from feathertune.system.files import write_text
from feathertune.version import __version__
from feathertune.wording.markdown import markdown_table
from feathertune.wording.metrics import TABLE_TITLES, TITLES
from feathertune.wording.numbers import percent
from feathertune.wording.visible import shown

MAX_ROWS = 20


def write_search_report(folder: Path) -> Path:
    """Write figures/*.png, README.md and report.html of the search in `folder`. Returns the page's path.

    Raises UserError if no trial is complete.
    """
    names = SearchFolder(folder)
    search = Search.read(names.result)
    if not search.ranked:
        raise UserError("no trial of this search is complete", where=str(names.result))
    pictures = search_pictures(search)
    write_figures(pictures, names.figures)
    facts = _facts(folder, search, pictures)
    write_text(names.card, render_markdown("search.md", facts))
    write_text(names.report, render_page("search.html", facts))
    return names.report


def search_pictures(search: Search) -> dict[str, Picture]:
    """Name -> picture."""
    ranked, metric = search.ranked, _metric(search)
    in_order = sorted(ranked, key=lambda trial: trial.number)
    best_tenth = max(1, math.ceil(len(ranked) / 10))
    pictures = []
    if search.importances:
        caption = "How much of the variation between trials each setting explains."
        pictures.append(Picture("importance", importance_figure(search.importances), caption))
    caption = "Each line runs through a trial's settings to its value. The best is orange, the best tenth blue."
    pictures.append(Picture("parallel", parallel_figure(ranked, metric, best_tenth), caption))
    figure = trials_figure(in_order, metric, larger_is_better=search.maximized)
    pictures.append(Picture("trials", figure, "The value of each complete trial, and the best so far."))
    return {picture.name: picture for picture in pictures}


@dataclass(frozen=True)
class TrialRow:
    """A trial as it is written: its number, its value and its settings."""

    number: int
    value: str
    settings: list[str]


def _facts(folder: Path, search: Search, pictures: dict[str, Picture]) -> dict[str, object]:
    """What both templates show."""
    ranked, metric = search.ranked, _metric(search)
    best, settings = ranked[0], _settings(ranked)
    rows = [
        TrialRow(trial.number, _value(search, trial), [_setting(trial.params.get(name)) for name in settings])
        for trial in ranked[:MAX_ROWS]
    ]
    states = Counter(trial.state.lower() for trial in search.trials)
    headline = f"The best of {len(ranked)} trials: {metric} {_value(search, best)} on {search.split}"
    return {
        "name": folder.resolve().name,
        "title": headline,
        "headline": headline,
        "version": __version__,
        "sections": [("settings", "Settings"), ("trials", "Trials")],
        "command_path": str(folder),
        "caveat": (
            f"It was chosen by this value, as the best of {len(ranked)}, so expect a worse one on new texts. Train it "
            "with other seeds and evaluate it on test before you rely on it."
        ),
        "best": [(name, _setting(value)) for name, value in best.params.items()],
        "states": ", ".join(f"{times} {state}" for state, times in sorted(states.items())),
        "pictures": pictures,
        "drawn": {name: inline_svg(picture.figure, name, picture.caption) for name, picture in pictures.items()},
        "names": settings,
        "metric": metric,
        "rows": rows,
        "trial_table": markdown_table(
            ["trial", metric, *settings], [[str(row.number), row.value, *row.settings] for row in rows]
        ),
        "count": len(ranked),
    }


def _settings(trials: Sequence[Trial]) -> list[str]:
    """The keys that any of the trials has."""
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def _metric(search: Search) -> str:
    return TABLE_TITLES.get(search.metric, search.metric)


def _value(search: Search, trial: Trial) -> str:
    if trial.value is None:
        return ""
    return percent(trial.value, 2) if search.metric in TITLES and search.metric != "loss" else f"{trial.value:.4g}"


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown("" if value is None else value, 60)
