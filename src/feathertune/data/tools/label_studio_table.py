"""Label Studio's JSON_MIN, CSV and TSV: a row for each annotation, the answers in columns named after the questions.

Nothing in these files says which columns are the data's and which the answers. JSON_MIN has the answers between `id`
and `annotator`; csv sorts its columns, so there an answer is what repeats from row to row. Several choices are the
object `{"choices": [...]}`, in csv as JSON text. Rows of one task (`id`) are the annotations of several annotators.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Record, Records, Tool, label_of, scalars, strings, text_key, written

_OWN = frozenset(
    ("annotation_id", "annotator", "created_at", "updated_at", "id", "lead_time", "agreement", "comments", "reviews")
)
_NEEDED = frozenset(("annotation_id", "annotator", "lead_time"))
_MOST_DIFFERENT = 0.5  # of the answers in a column, for one that is a label


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:  # noqa: ARG001  # all tools are asked alike
    """By the columns that Label Studio adds."""
    if sum(record.keys() >= _NEEDED for record in records) * 2 <= len(records):
        return None
    columns = dict.fromkeys(key for record in records for key in record)
    no_text = _OWN | {column for column in columns if _has_choices(records, column)}
    own_data = [{key: value for key, value in record.items() if key not in no_text} for record in records]
    renamed = [column.removeprefix("_data_") for column in columns if column.startswith("_data_")]
    text = text_key(own_data, [f"_data_{column}" for column in renamed])
    questions = tuple(column for column in columns if column not in _OWN and column != text)
    answers = tuple(column for column in questions if column in renamed or _is_answer(records, column))
    if len(questions) == 1:
        answers = questions
    if text is None or not answers:
        return None
    by_order = _between(records, columns) if "id" in columns else ()
    certain = tuple(
        column for column in answers if column in renamed or column in by_order or _has_choices(records, column)
    )
    return LabelStudioTable(text, certain or answers)


class LabelStudioTable(Tool):
    """The annotations of each task as one row."""

    name = "Label Studio"

    def __init__(self, text: str, questions: tuple[str, ...]) -> None:
        super().__init__(Roles(text, questions[0], questions if len(questions) > 1 else ()))
        self._questions = questions

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        tasks: dict[object, list[Row]] = {}
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            task = record.fields.get("id")
            tasks.setdefault((record.place, "") if task in (None, "") else str(task), []).append(record)
        for rows in tasks.values():
            first = rows[0]
            newest = sorted(rows, key=lambda row: str(row.fields.get("created_at") or ""), reverse=True)
            of_annotators = {_annotator(row): row for row in reversed(newest)}
            latest = [row for row in newest if of_annotators[_annotator(row)] is row]
            self._leave_out("annotation", "the same annotator's is newer", len(rows) - len(latest))
            answers = {name: label_of([_answers(row.fields.get(name)) for row in latest]) for name in self._questions}
            yield Row(first.place, first.row, scalars(first.fields) | answers)


def _annotator(row: Row) -> str:
    """Who made an annotation; its place where nobody is named."""
    who = row.fields.get("annotator")
    return row.place if who in (None, "") else str(who)


def _answers(cell: object) -> list[str]:
    """The labels in a cell: a choice, or `{"choices": [...]}` as an object or its text."""
    if isinstance(cell, str) and cell.startswith('{"choices"'):
        try:
            cell = json.loads(cell)
        except ValueError:
            return [str(cell)]
    if isinstance(cell, dict):
        return strings(cell.get("choices"))
    return [written(cell)] if isinstance(cell, str | int | float) and cell != "" else []


def _is_answer(records: Sequence[Record], column: str) -> bool:
    """Whether a column has labels: texts that repeat, or objects of choices."""
    values = [value for record in records if (value := record.get(column)) not in (None, "")]
    if _has_choices(records, column):
        return True
    if not values or any(isinstance(value, dict | list) for value in values):
        return False
    return 1 < len(set(map(str, values))) <= max(2, _MOST_DIFFERENT * len(values))


def _has_choices(records: Sequence[Record], column: str) -> bool:
    return any(
        (isinstance(value, dict) and "choices" in value) or (isinstance(value, str) and value.startswith('{"choices"'))
        for record in records
        for value in (record.get(column),)
    )


def _between(records: Sequence[Record], columns: dict[str, None]) -> tuple[str, ...]:
    """The columns between `id` and `annotator`, where the order is JSON_MIN's own and not that of the alphabet."""
    names = list(columns)
    if names == sorted(names) or any(not isinstance(record.get("id"), int) for record in records):
        return ()
    start, end = names.index("id"), names.index("annotator")
    return tuple(names[start + 1 : end])
