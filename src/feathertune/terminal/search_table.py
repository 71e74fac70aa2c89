"""tune.json's content on the terminal: the best trials first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from feathertune.terminal.run_tables import DASH
from feathertune.wording.duration import duration
from feathertune.wording.visible import visible

SHOWN = 10


def trials_table(result: Mapping[str, Any]) -> Table:
    """The ten best complete trials, how the others ended, and how much each key mattered."""
    complete = [trial for trial in result["trials"] if trial["state"] == "complete"]
    complete.sort(key=lambda trial: trial["value"], reverse=result["maximized"])
    lines = [result["note"]]
    if result["importances"]:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in result["importances"].items())
        lines.append(f"what the value varied by: {shares}")
    ended = [trial["state"] for trial in result["trials"]]
    counts = ", ".join(f"{ended.count(state)} {state}" for state in dict.fromkeys(ended))
    table = Table(
        title=Text(f"{counts}; by {result['metric']} on validation"),
        caption=Text("\n".join(lines)),
        title_justify="left",
        caption_justify="left",
    )
    for header in ("trial", result["metric"], "seconds"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("values")
    for trial in complete[:SHOWN]:
        values = ", ".join(f"{key}={_short(value)}" for key, value in trial["params"].items())
        seconds = DASH if trial["seconds"] is None else duration(trial["seconds"])
        table.add_row(str(trial["number"]), f"{trial['value']:.4f}", seconds, Text(visible(values)))
    return table


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
