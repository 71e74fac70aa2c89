"""A search on the terminal: its best trials."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from feathertune.folders.search import Search
from feathertune.wording.duration import duration
from feathertune.wording.numbers import DASH
from feathertune.wording.visible import visible

MAX_ROWS = 10


def trials_table(search: Search) -> Table:
    """The ten best complete trials, how many others there were, and the importance of each key."""
    lines = [search.note]
    if search.importances:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in search.importances.items())
        lines.append(f"variation explained by: {shares}")
    states = [trial.state for trial in search.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    table = Table(
        title=Text(f"{counts}; by {search.metric} on {search.split}"),
        caption=Text("\n".join(lines)),
        title_justify="left",
        caption_justify="left",
    )
    for header in ("trial", search.metric, "seconds"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("values")
    for trial in search.ranked[:MAX_ROWS]:
        values = ", ".join(f"{key}={_short(value)}" for key, value in trial.params.items())
        seconds = DASH if trial.seconds is None else duration(trial.seconds)
        table.add_row(str(trial.number), f"{trial.value:.4f}", seconds, Text(visible(values)))
    return table


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
