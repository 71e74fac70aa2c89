"""spaCy's `cats`: all classes in each row, each 1.0 or 0.0. Where several are 1.0, the text has several labels.

Rows are objects with `text` and `cats`, or pairs of a text and an object with `cats`, as spaCy 2 was trained with.
Where all have one and the same class, it holds or not: 'POSITIVE' and 'not POSITIVE'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Record, Records, Tool, is_unlabelled, label_of, scalars

_TRUE = 0.5  # above it a class holds, as spaCy's scorer has it by default
_PAIR = ("column 1", "column 2")  # as arrays of arrays are read


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:  # noqa: ARG001  # all tools are asked alike
    """By `cats`, an object of numbers, beside a `text`."""
    parts = [_parts(one) for one in records]
    if not all(isinstance(text, str) and _are_cats(cats) for text, cats in parts):
        return None
    classes = {tuple(cats) for _, cats in parts if isinstance(cats, dict)}
    only = next(iter(classes)) if len(classes) == 1 else ()
    return SpacyCats(str(only[0]) if len(only) == 1 else None) if any(classes) else None


class SpacyCats(Tool):
    """Rows with the class that is 1.0 as the label. `only`: the class, if there is no other."""

    name = "spaCy"

    def __init__(self, only: str | None = None) -> None:
        super().__init__(Roles("text", "label"))
        self._only = only

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            text, cats = _parts(record.fields)
            if not isinstance(cats, dict) or not _are_cats(cats):
                yield BadRow(record.place, "`cats` is no object of numbers")
                continue
            true = [name for name, value in cats.items() if value > _TRUE]
            if not true and list(cats) == [self._only]:
                true = [f"not {self._only}"]
                self._say(f"texts without {self._only!r}, the only class, have the label {true[0]!r}")
            label = label_of([true])
            if is_unlabelled(label):
                self._unlabelled("text", "no class is 1")
            yield Row(record.place, record.row, scalars(record.fields) | {"text": text, "label": label})


def _parts(fields: Record) -> tuple[object, object]:
    """The text and the `cats` of a row."""
    if tuple(fields) != _PAIR:
        return fields.get("text"), fields.get("cats")
    described = fields[_PAIR[1]]
    return fields[_PAIR[0]], described.get("cats") if isinstance(described, dict) else None


def _are_cats(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, int | float) for one in value.values())
