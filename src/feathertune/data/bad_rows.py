"""What to say about rows that cannot be used: which, how many, and whether to leave them out is a way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from feathertune.data.formats.format import Table
from feathertune.data.rows import BadRow
from feathertune.errors import UserError
from feathertune.recipe.parsing import typed_list
from feathertune.wording.numbers import count

SHOWN = 5
NO_LABEL = ("the label is missing", "the label is empty")  # as `label_name` puts it
NO_TEXT = ("the text is missing", "the text is empty")
FEW = 0.25  # the largest share of bad rows that leaving them out is proposed for


class BadRowError(UserError):
    """Rows that cannot be used, although bad rows may not be skipped."""

    def __init__(self, bad: Sequence[BadRow], rows: int, skip: str | None, table: Table | None = None) -> None:
        """Name the first of the bad rows.

        Args:
            bad: at least one.
            rows: how many rows there are, bad ones included.
            skip: the recipe change or option that skips bad rows; None if they cannot be skipped.
            table: where they come from, for how it was read.
        """
        self._arguments = bad, rows, table
        first, others = bad[0], bad[1:SHOWN]
        what = first.reason + "".join(f"\n  {one.place}: {one.reason}" for one in others)
        if len(bad) > SHOWN:
            what += f"\n  and {len(bad) - SHOWN:,} more of {rows:,} rows"
        super().__init__(what, where=first.place, fix=first.fix or _fix(bad, rows, skip, table))

    def with_skip(self, skip: str) -> BadRowError:
        """The same error with another way to skip bad rows."""
        bad, rows, table = self._arguments
        return BadRowError(bad, rows, skip, table)


def _fix(bad: Sequence[BadRow], rows: int, skip: str | None, table: Table | None) -> str:
    them = "it" if len(bad) == 1 else "them"
    if skip is None and len(bad) == rows > 1 and all("unknown label" in one.reason for one in bad):
        return "All labels are others than the run's: give data with the labels that it was trained with."
    if skip is None:
        return f"Fix or remove {them}."
    if len(bad) <= FEW * rows or len(bad) == 1:
        return f"Fix {them}, or skip such rows: {skip}"
    if all(one.reason.startswith(NO_LABEL) for one in bad) and len(bad) < rows:
        return (
            f"{len(bad):,} of {rows:,} rows have no label. To leave them out: {typed_list('data.label.missing', [''])}"
        )
    if all(one.reason.startswith(NO_TEXT) for one in bad) and len(bad) < rows:
        return (
            f"{len(bad):,} of {rows:,} rows have no text: is it another column (data.text=COLUMN)? To leave such rows "
            f"out: {skip}"
        )
    reason, times = Counter(one.reason for one in bad).most_common(1)[0]
    read = "" if table is None or table.format is None else f" ({table.format.sentence()})"
    return (
        f"{len(bad):,} of {rows:,} rows are bad, {times:,} for the reason '{reason}': is this the right kind of file"
        f"{read}? See data.format, data.separator, data.quote, data.header, data.text and data.label.column."
    )


def empty_split(name: str, table: Table, bad: Sequence[BadRow], unlabelled: int) -> UserError:
    """The error for a split without a row that can be used; `unlabelled` texts were given no label by annotators."""
    if unlabelled and not bad:
        reason = "; ".join(table.notes_after()) or f"{count(unlabelled, 'text')} without one"
        return UserError(f"no text of the {name} split has a label ({reason})", where=table.place)
    if not bad:
        return UserError(f"the {name} split is empty", where=table.place)
    first = bad[0]
    reason = f"all {len(bad)} rows are bad, the first ({first.place}): {first.reason}"
    return UserError(f"the {name} split is empty: {reason}", where=table.place, fix=first.fix)


def missing_note(name: str, number: int, missing: Sequence[str]) -> Iterable[str]:
    """A note on rows without a label, where `missing` (data.label.missing) are labels that stand for none."""
    if number:
        yield f"{name}: {count(number, 'row')} whose label stands for none (data.label.missing) left out"
    elif missing and name == "train":
        yield f"no row of train has the label {' or '.join(map(repr, missing))} (data.label.missing)"
