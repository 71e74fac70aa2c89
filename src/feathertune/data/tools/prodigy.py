"""Prodigy's answers: a label that was accepted, rejected or ignored, or options of which some were chosen.

Rows of one input (`_input_hash`, else its text) are merged, as `prodigy train` does; ignored ones do not count. What
was rejected is never taught as true, and tells which label is right only where the file has a single one: there it
means that this one does not hold, a class of its own. A label that as many rejected as accepted is not taught, either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Record, Records, Tool, is_unlabelled, label_of, scalars, strings
from feathertune.errors import UserError

_ANSWERS = ("accept", "reject", "ignore")
_ONLY_REJECTED = "only rejected"


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:
    """By `answer` beside a `text`.

    Raises:
        UserError: the answers are about spans, not about texts.
    """
    if not all(record.get("answer") in _ANSWERS and isinstance(record.get("text"), str) for record in records):
        return None
    if any(_is_choice(record) for record in records):
        return Prodigy()
    if any(isinstance(record.get("label"), str) for record in records):
        return Prodigy()
    if any(record.get("spans") for record in records):
        raise UserError(
            "Prodigy's answers are about spans, not about whole texts",
            where=name,
            fix="Export a dataset of textcat.manual or textcat.teach.",
        )
    return None


@dataclass
class _Input:
    """One input: its first row, and what each annotator answered."""

    row: Row
    accepted: dict[str, list[str]] = field(default_factory=dict)
    rejected: dict[str, list[str]] = field(default_factory=dict)
    answered: bool = False


class Prodigy(Tool):
    """Inputs as rows, in the order of their first answer; the label is a column `label`."""

    name = "Prodigy"

    def __init__(self) -> None:
        super().__init__(Roles("text", "label"))

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        inputs: dict[object, _Input] = {}
        asked: set[str] = set()
        chosen_from = False
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            if record.fields.get("answer") not in _ANSWERS:
                yield BadRow(record.place, "no `answer`: accept, reject or ignore")
                continue
            chosen_from = chosen_from or _is_choice(record.fields)
            one = inputs.setdefault(_input_of(record), _Input(record))
            asked |= self._add(one, record.fields)
        only = next(iter(asked)) if len(asked) == 1 and not chosen_from else None
        if only is not None:
            self._say(f"{only!r} is the only label, so what was rejected is the class {f'not {only}'!r}")
        for one in inputs.values():
            yield Row(one.row.place, one.row.row, scalars(one.row.fields) | {"label": self._label(one, only)})
        if len(asked) == 2 and self._left_out["text", f"without a label ({_ONLY_REJECTED})"]:
            self._say("rejecting one of the two labels is not taken to mean the other")

    def _add(self, one: _Input, fields: Record) -> set[str]:
        """Add one answer to its input. Returns the labels that it was about."""
        if fields["answer"] == "ignore":
            self._leave_out("answer", "ignored")
            return set()
        one.answered = True
        who = str(fields.get("_annotator_id") or fields.get("_session_id") or "")
        if _is_choice(fields):
            if fields["answer"] == "accept":
                one.accepted[who] = strings(fields.get("accept"))  # a later answer of the same annotator replaces it
            return set()
        label = fields.get("label")
        if not isinstance(label, str | int) or label == "":
            return set()
        answers = one.accepted if fields["answer"] == "accept" else one.rejected
        labels = answers.setdefault(who, [])
        if str(label) not in labels:
            labels.append(str(label))
        return {str(label)}

    def _label(self, one: _Input, only: str | None) -> object:
        """The label of an input; none (counted) where none was accepted by more annotators than rejected it."""
        for_it = Counter(label for labels in one.accepted.values() for label in labels)
        against = Counter(label for labels in one.rejected.values() for label in labels)
        if not one.answered:
            return label_of(())
        if only is not None and for_it[only] != against[only]:
            votes = [*([[only]] * for_it[only]), *([[f"not {only}"]] * against[only])]
            return label_of(votes)
        kept = [[label for label in labels if for_it[label] > against[label]] for labels in one.accepted.values()]
        label = label_of(kept)
        if is_unlabelled(label):
            contested = any(against[name] for name in for_it)
            reason = "accepted and rejected" if contested else _ONLY_REJECTED if against else "no option accepted"
            self._unlabelled("text", reason)
        return label


def _is_choice(fields: Record) -> bool:
    return isinstance(fields.get("accept"), list)


def _input_of(record: Row) -> object:
    """What rows of one input have in common."""
    known = record.fields.get("_input_hash")
    return str(record.fields.get("text")) if known is None else known
