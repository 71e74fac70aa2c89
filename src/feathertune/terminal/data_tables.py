"""Statistics of a dataset as tables, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from feathertune.data.statistics import format_rating
from feathertune.folders.inputs import (
    AgreementRecord,
    BadRows,
    DataRecord,
    RepeatedText,
    ShownExample,
    SplitRecord,
    Spread,
)
from feathertune.wording.numbers import count, number, span
from feathertune.wording.visible import visible

MAX_CHARACTERS = 160  # of a text in a table
MAX_ROWS = 30
MAX_BAD_ROWS = 10
PLACE_WIDTH, LABEL_WIDTH = 26, 24  # cells of the terminal
NARROW = 80  # columns of a narrow terminal
MIN_LABEL_WIDTH = 12


def render(data: DataRecord) -> Group:
    """The tables of a dataset, and lines about it. Texts are printed as they are, never as markup."""
    return Group(*_parts(data))


def print_data(console: Console, data: DataRecord) -> None:
    """Print what `render` has; lines are left to the terminal to wrap, so that one to type is copied in one piece."""
    for part in _parts(data):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(data: DataRecord) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(f"{visible(data.source)}  {_origin(data.origin)}", "bold")]
    parts += [Text(visible(line)) for line in data.read_as_lines()]
    parts += [_summary_table(data.splits), _repeated_counts(data.splits)]
    parts.append(_count_table("label", {name: split.labels for name, split in data.splits.items()}))
    parts += _rating_tables(data.splits)
    parts += [] if data.agreement is None else [Text(_agreement(data.agreement))]
    parts += [_examples_table(name, split.examples) for name, split in data.splits.items()]
    for name, split in data.splits.items():
        if split.duplicates:
            repeated, conflicts = count(split.duplicates, "duplicate"), count(split.conflicts, "text")
            title = f"{name}: {repeated}, {conflicts} with different labels"
            parts.append(_repeated_table(title, split.duplicate_examples))
    for leak in data.leaks:
        first, second = leak.splits
        parts.append(_repeated_table(f"{count(leak.count, 'row')} of {second} also in {first}", leak.examples))
    special = data.special_token_texts or {}
    if any(special.values()):
        counts = ", ".join(f"{number:,} of {name}" for name, number in special.items())
        parts.append(Text(f"Texts with special tokens written out, such as [SEP] or <|endoftext|>: {counts}"))
    parts += _bad_rows(data.bad_rows)
    parts += [Text(f"Note: {visible(note)}") for note in data.notes]
    for remark in data.remarks:
        parts.append(Text(f"Warning: {visible(remark.text)}", "bold"))
        parts += [] if remark.fix is None else [Text(f"  {visible(remark.fix)}")]
    return parts


def _origin(origin: Mapping[str, Any]) -> str:
    if "revision" in origin:
        return f"(revision {origin['revision']})"
    return "(" + ", ".join(f"{visible(name)} sha256 {digest[:12]}" for name, digest in origin["files"].items()) + ")"


def _summary_table(splits: Mapping[str, SplitRecord]) -> Table:
    table = Table(title="Splits", title_justify="left")
    for heading in ("split", "examples", "length in", "min", "median", "p95", "max"):
        table.add_column(heading, justify="left" if heading in ("split", "length in") else "right", no_wrap=True)
    for name, split in splits.items():
        table.add_row(name, f"{split.count:,}", "characters", *_spread_cells(split.characters))
        if split.tokens is not None:
            table.add_row("", "", "tokens", *_spread_cells(split.tokens))
    return table


def _repeated_counts(splits: Mapping[str, SplitRecord]) -> Table:
    table = Table(title="Repeated texts", title_justify="left")
    for heading in ("split", "duplicates", "conflicts"):
        table.add_column(heading, justify="left" if heading == "split" else "right", no_wrap=True)
    for name, split in splits.items():
        table.add_row(name, f"{split.duplicates:,}", f"{split.conflicts:,}")
    return table


def _spread_cells(spread: Spread) -> list[str]:
    values = (spread.min, spread.median, spread.p95, spread.max)
    return [f"{round(value, 1):,g}" if value < 1e5 else f"{value:,.0f}" for value in values]


def _count_table(heading: str, counts: Mapping[str, Mapping[str, int]]) -> Table:
    """One row for each value, one column (count and share) for each split."""
    table = Table(title=f"{heading.capitalize()}s", title_justify="left")
    table.add_column(heading, no_wrap=True)
    for name in counts:
        table.add_column(name, justify="right", no_wrap=True)
    values = dict.fromkeys(value for split in counts.values() for value in split)
    if heading == "rating":
        values = dict.fromkeys(sorted(values, key=float))
    rows = {
        value: [_with_share(split.get(value, 0), sum(split.values())) for split in counts.values()]
        for value in list(values)[:MAX_ROWS]
    }
    widths = [max(map(len, (name, *cells))) + 3 for name, *cells in zip(counts, *rows.values(), strict=True)]
    room = max(NARROW - 4 - sum(widths), MIN_LABEL_WIDTH)
    for value, cells in rows.items():
        table.add_row(_short(value, room), *cells)
    if len(values) > MAX_ROWS:
        table.caption = f"and {len(values) - MAX_ROWS:,} more"
    return table


def _with_share(part: int, whole: int) -> str:
    return f"{part:,} ({part / max(whole, 1):.1%})"


def _rating_tables(splits: Mapping[str, SplitRecord]) -> list[RenderableType]:
    """A histogram of the ratings if there are few values, else their quantiles."""
    ratings = {name: split.ratings for name, split in splits.items() if split.ratings is not None}
    histograms = {name: rating.histogram for name, rating in ratings.items() if rating.histogram is not None}
    quantiles = {name: rating.quantiles for name, rating in ratings.items() if rating.quantiles is not None}
    tables: list[RenderableType] = [_count_table("rating", histograms)] if histograms else []
    if quantiles:
        table = Table(title="Quantiles of the rating", title_justify="left")
        for heading in ("split", *next(iter(quantiles.values()))):
            table.add_column(heading, justify="left" if heading == "split" else "right")
        for name, values in quantiles.items():
            table.add_row(name, *(f"{value:.6g}" for value in values.values()))
        tables.append(table)
    return tables


def _examples_table(name: str, examples: Sequence[ShownExample]) -> Table:
    table = _wide_table(f"Examples of {name}")
    for example in examples[:MAX_ROWS]:
        rating = "" if example.rating is None else f" ({format_rating(example.rating)})"
        label = _short(example.label, LABEL_WIDTH - len(rating)).append(rating)
        table.add_row(_places([example.place]), label, _cell(example.text))
    return table


def _repeated_table(title: str, repeated: Sequence[RepeatedText]) -> Table:
    table = _wide_table(title)
    for one in repeated:
        labels = Text("\n").join(_short(label, LABEL_WIDTH) for label in dict.fromkeys(one.labels))
        table.add_row(_places(one.places), labels, _cell(one.text))
    return table


def _agreement(found: AgreementRecord) -> str:
    """One line about several annotators, with Krippendorff's own limits (Content Analysis, 2004, page 241)."""
    texts = f"{count(found.items, 'text')} with up to {found.annotators} labels"
    if found.alpha is None:
        return f"Agreement of annotators: undefined, as all labels of the {texts} are the same"
    interval = "" if found.low is None or found.high is None else f", {span((found.low, found.high), 1, 2)}"
    verdict = "reliable" if found.alpha >= 0.8 else "tentative" if found.alpha >= 2 / 3 else "low"
    return f"Agreement of annotators: Krippendorff's alpha {number(found.alpha, 2)}{interval} ({verdict}; {texts})"


def _wide_table(title: str) -> Table:
    """A table of places, labels and texts. Only texts are wrapped: a place in two pieces cannot be read or copied."""
    table = Table(title=Text(title), title_justify="left", show_lines=False)
    table.add_column("place", max_width=PLACE_WIDTH, no_wrap=True)
    table.add_column("label", max_width=LABEL_WIDTH, no_wrap=True)
    table.add_column("text", max_width=42, overflow="fold")
    return table


def _places(places: Sequence[str]) -> Text:
    """Places, those of one file on one line where there is room: 'train.tsv:3, 4'. A long file name is cut inside."""
    lines: list[str] = []
    last = None
    for place in places:
        file, _, row = place.rpartition(":")
        if lines and file == last and len(lines[-1]) + len(row) + 2 <= PLACE_WIDTH:
            lines[-1] += f", {row}"
        else:
            lines.append(f"{_cut_inside(visible(file), PLACE_WIDTH - len(row) - 1)}:{row}" if file else row)
        last = file
    return Text("\n".join(lines))


def _short(name: str, width: int) -> Text:
    """A name on one line, cut inside where it is too wide, in quotes where spaces around it would not be seen."""
    return Text(_cut_inside(visible(name) if name == name.strip() else repr(visible(name)), width))


def _cut_inside(text: str, width: int) -> str:
    """A text of at most `width` cells of the terminal, without its middle if it is wider."""
    if cell_len(text) <= width:
        return text
    end = width // 2
    tail = text[-end:]
    while cell_len(tail) > end:
        tail = tail[1:]
    return set_cell_size(text, width - 1 - cell_len(tail)).rstrip() + "…" + tail


def _bad_rows(bad_rows: BadRows) -> list[RenderableType]:
    if not bad_rows.count:
        return []
    lines = [Text(f"{count(bad_rows.count, 'bad row')} left out:", "bold")]
    lines += [Text(visible(f"  {row.place}: {row.reason}")) for row in bad_rows.listed[:MAX_BAD_ROWS]]
    if bad_rows.count > MAX_BAD_ROWS:
        lines.append(Text(f"  and {bad_rows.count - MAX_BAD_ROWS:,} more"))
    return [*lines]


def _cell(text: str) -> Text:
    """A text in at most MAX_CHARACTERS."""
    written = visible(text[: MAX_CHARACTERS + 1])
    return Text(written if len(written) <= MAX_CHARACTERS else written[: MAX_CHARACTERS - 1] + "…")
