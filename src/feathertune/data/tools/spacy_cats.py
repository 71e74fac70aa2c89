"""spaCy's `cats`: all classes in each row, each 1.0 or 0.0. Where several are 1.0, the text has several labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Record, Records, Tool, is_unlabelled, label_of, scalars

_TRUE = 0.5  # above it a class holds, as spaCy's scorer has it by default


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:  # noqa: ARG001  # all tools are asked alike
    """By `cats`, an object of numbers, beside a `text`."""
    described = all(isinstance(one.get("text"), str) and _are_cats(one.get("cats")) for one in records)
    return SpacyCats() if described and any(one["cats"] for one in records) else None


class SpacyCats(Tool):
    """Rows with the class that is 1.0 as the label."""

    name = "spaCy"

    def __init__(self) -> None:
        super().__init__(Roles("text", "label"))

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            cats = record.fields.get("cats")
            if not isinstance(cats, dict) or not _are_cats(cats):
                yield BadRow(record.place, "`cats` is no object of numbers")
                continue
            label = label_of([[name for name, value in cats.items() if value > _TRUE]])
            if is_unlabelled(label):
                self._unlabelled("text", "no class is 1")
            yield Row(record.place, record.row, scalars(record.fields) | {"label": label})


def _are_cats(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, int | float) for one in value.values())
