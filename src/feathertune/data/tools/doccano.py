"""doccano's exports: jsonl, json and csv (its fastText lines are read with fastText's).

The label is a list, also where a text has one. csv joins several labels by `#`. An empty list is no label.
Before 1.0 an export has `annotations` with labels' ids and users, in csv as a row for each annotation; names of labels
are nowhere in such a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Record, Records, Tool, label_of, scalars, strings, written
from feathertune.errors import UserError

_TEXTS = ("text", "data")  # `data` in versions 1.0 to 1.5
_LABELS = ("label", "labels", "cats")  # `cats` in projects of intents
_OLD = "annotation_approver"
_SEPARATOR = "#"


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:
    """By doccano's own columns (`Comments`, `annotation_approver`), or `id`, a text and a list of labels alone.

    Raises:
        UserError: the labels are those of spans, not of texts.
    """
    text = _common(records, _TEXTS)
    if text is None:
        return None
    if all(_OLD in record for record in records):
        return _old(records, text, name)
    label = _common(records, _LABELS)
    if label is None or not _are_doccano(records, text, label):
        return None
    if any(isinstance(one, list) for record in records for one in _listed(record[label])):
        raise _of_spans(name)
    return Doccano(text, label)


class Doccano(Tool):
    """Rows with a list of labels, or their names joined by `#`."""

    name = "doccano"

    def __init__(self, text: str, label: str) -> None:
        super().__init__(Roles(text, label))

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        label_column = self.roles.label
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            label = label_of([_labels(record.fields.get(label_column))])
            yield Row(record.place, record.row, scalars(record.fields) | {label_column: label})


class OldDoccano(Tool):
    """Versions before 1.0: annotations by users, with the ids of labels."""

    name = "doccano before 1.0"

    def __init__(self, text: str) -> None:
        super().__init__(Roles(text, "label"))

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        texts: dict[object, tuple[Row, dict[str, list[str]]]] = {}
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            fields = record.fields
            key = fields.get("id")
            _, of_users = texts.setdefault((record.place, "") if key in (None, "") else str(key), (record, {}))
            for one in _annotations(fields):
                label = one.get("label")
                if isinstance(label, str | int | float) and label != "":
                    labels = of_users.setdefault(str(one.get("user", "")), [])
                    labels += [written(label)] if written(label) not in labels else []
        for row, of_users in texts.values():
            label_value = label_of(list(of_users.values()))
            yield Row(row.place, row.row, scalars(row.fields) | {"label": label_value})
        self._say("labels are doccano's numbers for them, as names are not in the file; label.map names them")


def _old(records: Sequence[Record], text: str, name: str) -> Tool | None:
    annotations = [one for record in records for one in _annotations(record)]
    if any("start_offset" in one for one in annotations):
        raise _of_spans(name)
    return OldDoccano(text) if any("label" in one for one in annotations) else None


def _annotations(record: Record) -> list[Record]:
    """The annotations of a text: a list of objects in JSON; in csv the row itself is one."""
    if "annotations" not in record:
        return [record]
    return [one for one in _listed(record["annotations"]) if isinstance(one, dict)]


def _are_doccano(records: Sequence[Record], text: str, label: str) -> bool:
    """Whether the columns are doccano's; `#` between labels alone says so of a file with a text and a label."""
    if all("Comments" in record for record in records):
        return True
    if all(isinstance(record[label], list) for record in records):
        names = [one for record in records for one in _listed(record[label])]
        known = all("id" in record or "entities" in record for record in records)
        return known and all(isinstance(one, str | list) for one in names)
    return all(record.keys() <= {"id", text, label} for record in records) and _joined_by_separator(
        [record[label] for record in records]
    )


def _joined_by_separator(cells: Sequence[object]) -> bool:
    """Whether cells hold several labels joined by `#`: a part is in differing cells, and none is empty."""
    different = {cell for cell in cells if isinstance(cell, str)}
    joined = [cell.split(_SEPARATOR) for cell in different if _SEPARATOR in cell]
    if not joined or len(different) > len(cells) / 2:
        return False
    of_cells = Counter(part for cell in different for part in set(cell.split(_SEPARATOR)))
    return all(part.strip() and " " not in part for parts in joined for part in parts) and any(
        of_cells[part] > 1 for parts in joined for part in parts
    )


def _labels(value: object) -> list[str]:
    """The labels of a row: a list, or a text of names joined by `#`; a name may end in `#` itself (C#)."""
    if isinstance(value, list):
        return strings(value)
    text = "" if value is None else str(value)
    parts = text.split(_SEPARATOR)
    return parts if all(parts) else [text] if text else []


def _common(records: Sequence[Record], names: Sequence[str]) -> str | None:
    return next((name for name in names if all(name in record for record in records)), None)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _of_spans(name: str) -> UserError:
    return UserError(
        "doccano's export has labels of spans, not of whole texts",
        where=name,
        fix="Export a project of the type text classification.",
    )
