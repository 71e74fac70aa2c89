"""Statistics of a dataset as tables, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from feathertune.data.statistics import (
    _number,
)
from feathertune.wording.visible import visible

_SHOWN_CHARACTERS = 160


_SHOWN_ROWS = 30


def render(description: Mapping[str, Any]) -> Group:
    """The tables of a `describe` result, at most 100 columns wide. Texts are shown as they are, never as markup."""
    parts: list[RenderableType] = [Text(f"{visible(description['source'])}  {_origin(description['origin'])}", "bold")]
    splits = description["splits"]
    parts.append(_summary_table(splits))
    parts.append(_count_table("label", {name: split["labels"] for name, split in splits.items()}))
    parts += _rating_tables(splits)
    parts += [_examples_table(name, split["examples"]) for name, split in splits.items()]
    for name, split in splits.items():
        if split["duplicates"]:
            title = f"{name}: {split['duplicates']} duplicates, {split['conflicts']} texts with different labels"
            parts.append(_repeated_table(title, split["duplicate_examples"]))
    for leak in description["leaks"]:
        first, second = leak["splits"]
        parts.append(_repeated_table(f"{leak['count']} rows of {second} are also in {first}", leak["examples"]))
    parts += _bad_rows(description["bad_rows"])
    parts += [Text(f"Note: {visible(note)}") for note in description["notes"]]
    return Group(*parts)


def _origin(origin: Mapping[str, Any]) -> str:
    if "revision" in origin:
        return f"(revision {origin['revision']})"
    return "(" + ", ".join(f"{visible(name)} sha256 {digest[:12]}" for name, digest in origin["files"].items()) + ")"


def _summary_table(splits: Mapping[str, Any]) -> Table:
    table = Table(title="Splits", title_justify="left", width=None)
    for heading in ("split", "examples", "", "min", "median", "p95", "max", "duplicates", "conflicts"):
        table.add_column(heading, justify="left" if heading in ("split", "") else "right")
    for name, split in splits.items():
        head, tail = [name, f"{split['count']:,}"], [f"{split['duplicates']:,}", f"{split['conflicts']:,}"]
        table.add_row(*head, "characters", *_spread_cells(split["characters"]), *tail)
        if split["tokens"] is not None:
            table.add_row("", "", "tokens", *_spread_cells(split["tokens"]), "", "")
    return table


def _spread_cells(spread: Mapping[str, float]) -> list[str]:
    return [f"{round(spread[key], 1):,g}" if spread[key] < 1e5 else f"{spread[key]:,.0f}" for key in spread]


def _count_table(heading: str, counts: Mapping[str, Mapping[str, int]]) -> Table:
    """One row for each value, one column (count and share) for each split."""
    table = Table(title=f"{heading.capitalize()}s", title_justify="left")
    table.add_column(heading)
    for name in counts:
        table.add_column(name, justify="right")
    values = dict.fromkeys(value for split in counts.values() for value in split)
    if heading == "rating":
        values = dict.fromkeys(sorted(values, key=float))
    for value in list(values)[:_SHOWN_ROWS]:
        cells = []
        for split in counts.values():
            count = split.get(value, 0)
            cells.append(f"{count:,} ({count / max(sum(split.values()), 1):.1%})")
        table.add_row(_cell(value), *cells)
    if len(values) > _SHOWN_ROWS:
        table.caption = f"and {len(values) - _SHOWN_ROWS:,} more"
    return table


def _rating_tables(splits: Mapping[str, Any]) -> list[RenderableType]:
    ratings = {name: split["ratings"] for name, split in splits.items() if split["ratings"] is not None}
    histograms = {name: item["histogram"] for name, item in ratings.items() if "histogram" in item}
    quantiles = {name: item["quantiles"] for name, item in ratings.items() if "quantiles" in item}
    tables: list[RenderableType] = [_count_table("rating", histograms)] if histograms else []
    if quantiles:
        table = Table(title="Quantiles of the rating", title_justify="left")
        for heading in ("split", *next(iter(quantiles.values()))):
            table.add_column(heading, justify="left" if heading == "split" else "right")
        for name, values in quantiles.items():
            table.add_row(name, *(f"{value:.6g}" for value in values.values()))
        tables.append(table)
    return tables


def _examples_table(name: str, examples: Sequence[Mapping[str, Any]]) -> Table:
    table = _wide_table(f"Examples of {name}")
    for example in examples[:_SHOWN_ROWS]:
        rating = "" if example["rating"] is None else f" ({_number(example['rating'])})"
        table.add_row(_cell(example["place"]), _cell(example["label"] + rating), _cell(example["text"]))
    return table


def _repeated_table(title: str, examples: Sequence[Mapping[str, Any]]) -> Table:
    table = _wide_table(title)
    for item in examples:
        table.add_row(_cell(", ".join(item["places"])), _cell(", ".join(item["labels"])), _cell(item["text"]))
    return table


def _wide_table(title: str) -> Table:
    table = Table(title=Text(title), title_justify="left", show_lines=False)
    table.add_column("place", max_width=26, overflow="fold")
    table.add_column("label", max_width=24, overflow="fold")
    table.add_column("text", max_width=42, overflow="fold")
    return table


def _bad_rows(bad_rows: Mapping[str, Any]) -> list[RenderableType]:
    if not bad_rows["count"]:
        return []
    listed = bad_rows["listed"]
    lines = [Text(f"{bad_rows['count']:,} bad rows were left out:", "bold")]
    lines += [Text(visible(f"  {bad['place']}: {bad['reason']}")) for bad in listed[:10]]
    if bad_rows["count"] > 10:
        lines.append(Text(f"  and {bad_rows['count'] - 10:,} more"))
    return [*lines]


def _cell(text: str) -> Text:
    shown = visible(text[: _SHOWN_CHARACTERS + 1])
    return Text(shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…")
