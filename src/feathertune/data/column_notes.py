"""What to say about the columns that were chosen, and about those that might have been meant."""

from __future__ import annotations

from collections.abc import Sequence

from feathertune.data.label_columns import LABEL_NAMES, PERHAPS_LABEL_NAMES, has_label_name
from feathertune.data.profiles import Column, by_name, is_head_name, is_text_name
from feathertune.recipe.parsing import typed, typed_list
from feathertune.recipe.schema import LabelSection


def choice_notes(
    head: Sequence[Column], texts: Sequence[str], label: LabelSection, *, given: bool, of_tool: bool = False
) -> tuple[str, ...]:
    """Which columns were found (unless all were given), and which are not used.

    Args:
        head: all columns.
        texts: the columns of texts.
        label: with its column, or rating, named.
        given: whether the recipe names both.
        of_tool: whether a label tool wrote the file: its own columns, such as `answer`, are no texts.
    """
    column = label.column or label.rating or ""
    if given:
        return unused_notes(head, texts, column, of_tool=of_tool)
    choice = f"text: {', '.join(map(repr, texts))}, label: {column!r}{threshold_note(label)}"
    return (choice, *unused_notes(head, texts, column, of_tool=of_tool), *_other_labels(head, texts, column))


def threshold_note(label: LabelSection) -> str:
    """How classes are made of a rating whose threshold nobody gave; empty for other labels."""
    return "" if label.above is None else f" (a rating; above {label.above})"


def unused_notes(head: Sequence[Column], texts: Sequence[str], label: str, *, of_tool: bool = False) -> tuple[str, ...]:
    """A note on the columns of texts that are not used."""
    rest = [column for column in head if column.name not in (*texts, label)]
    found = [column for column in rest if column.looks_like_text]
    if not of_tool:
        found += [column for column in rest if column not in found and _is_named_text(column)]
    if not found:
        return ()
    first = max(found, key=lambda column: column.mean_length).name
    both = [first, *texts] if is_head_name(first) else [*texts, first]
    listed = ", ".join(repr(column.name) for column in found[:5])
    return (f"not used: {listed}; to use both: {typed_list('data.text', both)}",)


def _is_named_text(column: Column) -> bool:
    """Whether its name says that it holds texts, which are short; `label_text` holds labels."""
    if not column.holds_texts or len(column.counts) < 2 or not is_text_name(column.name):
        return False
    topic = column.name.strip().casefold() == "subject" and column.looks_like_label  # of a school, or of news
    return not topic and by_name([column], LABEL_NAMES) is None


def _other_labels(head: Sequence[Column], texts: Sequence[str], label: str) -> tuple[str, ...]:
    """A note on other columns that are named like labels."""
    chosen = next(column for column in head if column.name == label)
    names = LABEL_NAMES if has_label_name(chosen) else (*LABEL_NAMES, *PERHAPS_LABEL_NAMES)
    others = [
        column
        for column in head
        if column.name not in (*texts, label) and column.looks_like_label and by_name([column], names) is not None
    ]
    notes = [
        f"the labels are written out in {column.name!r}: {typed('data.label.column', column.name)}"
        for column in others
        if column.same_as(chosen) and column.holds_texts and chosen.holds_numbers
    ]
    others = [column for column in others if not column.same_as(chosen)]
    if others:
        listed = " or ".join(typed("data.label.column", column.name) for column in others[:5])
        notes.append(f"not used, but named like a label: {listed}")
    return tuple(notes)
