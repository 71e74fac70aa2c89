"""Argilla's records: 2.x (nested JSON, flattened), 1.x feedback in both shapes, and the older text classification.

Only responses that were submitted count; drafts and discarded ones do not. Nested JSON does not say it of each
response: there only completed records count. Suggestions and predictions are no responses.

Each kind is reduced to the same: an id, fields, and for each question the annotators' submitted values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import (
    Record,
    Records,
    Tool,
    is_unlabelled,
    label_of,
    scalars,
    strings,
    text_key,
    written,
)

_RESPONSES = ".responses"
_OLD_STATUS = ("Validated", "Default", "Discarded")
_WITHOUT_LABEL = {"pending": "pending", "Default": "pending", "Discarded": "discarded"}  # status -> why
_MOST_DIFFERENT = 0.5  # of the answers to a question, for one whose answers are labels

Count = Callable[[str, str, int], None]
Answers = dict[str, list[object]]
Reduced = tuple[Record, Answers]
Reader = Callable[[Record, Count], Reduced]


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:  # noqa: ARG001  # all tools are asked alike
    """By the keys of one of Argilla's kinds of record."""
    reader = next((reader for fits, reader in _KINDS if all(fits(record) for record in records)), None)
    if reader is None and any(_is_feedback(record) for record in records):  # others have no response yet
        reader = _feedback
    if reader is None:
        return None
    reduced = [reader(record, _uncounted) for record in records]
    text = text_key([fields for fields, _ in reduced], ("text",))
    questions = _label_questions([answers for _, answers in reduced])
    return Argilla(text, questions, reader) if text is not None and questions else None


class Argilla(Tool):
    """Records as rows: their fields, and the answers to each question by its name."""

    name = "Argilla"

    def __init__(self, text: str, questions: tuple[str, ...], reader: Reader) -> None:
        self._columns = {name: f"{name} (answer)" if name == text else name for name in questions}
        labels = tuple(self._columns.values())
        super().__init__(Roles(text, labels[0], labels if len(labels) > 1 else ()))
        self._reader = reader

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            fields, answers = self._reader(record.fields, self._leave_out)
            labels = {
                column: label_of([_labels(value) for value in answers.get(name, [])])
                for name, column in self._columns.items()
            }
            if all(is_unlabelled(label) for label in labels.values()):
                why = _WITHOUT_LABEL.get(str(record.fields.get("status")), "nothing submitted")
                self._unlabelled("record", why)
            yield Row(record.place, record.row, {"id": record.fields.get("id")} | scalars(fields) | labels)


def _nested(record: Record, count: Count) -> Reduced:  # noqa: ARG001  # a pending record counts as such
    """2.x, `to_json`: {"status", "fields": {...}, "responses": {question: [{"value", "user_id"}]}}."""
    fields, responses = record.get("fields"), record.get("responses")
    answers: Answers = {}
    for question, given in responses.items() if isinstance(responses, dict) else ():
        submitted = [one for one in _dicts(given) if record.get("status") == "completed"]
        answers[question] = [one.get("value") for one in submitted if _is_submitted(one.get("status", "submitted"))]
    return (fields if isinstance(fields, dict) else {}), answers


def _flat(record: Record, count: Count) -> Reduced:
    """2.x, flattened: `text`, `label.responses: [...]`, `label.responses.status: ["submitted", ...]`."""
    answers: Answers = {}
    questions = [key.removesuffix(_RESPONSES) for key in record if key.endswith(_RESPONSES)]
    for question in questions:
        values, states = record[f"{question}{_RESPONSES}"], record.get(f"{question}{_RESPONSES}.status")
        answers[question] = _submitted(values, states, count)
    own = ("_server_id", "status", "id")
    fields = {
        key: value
        for key, value in record.items()
        if key not in own and not any(key.startswith(f"{question}.") for question in questions)
    }
    return fields, answers


def _feedback(record: Record, count: Count) -> Reduced:
    """1.x feedback: question: [{"user_id", "value", "status"}], or an object of three lists."""
    answers: Answers = {}
    for question, given in record.items():
        if _are_responses(given):
            one_by_one = _dicts(given)
            values = given["value"] if isinstance(given, dict) else [one["value"] for one in one_by_one]
            states = given.get("status") if isinstance(given, dict) else [one.get("status") for one in one_by_one]
            answers[question] = _submitted(values, states, count)
    own = ("external_id", "id", "metadata")
    answered = {key for key in record if any(key.startswith(f"{question}-suggestion") for question in answers)}
    nested = record.get("fields")
    fields = nested if isinstance(nested, dict) else record
    return {key: value for key, value in fields.items() if key not in {*answers, *own, *answered}}, answers


def _classification(record: Record, count: Count) -> Reduced:  # noqa: ARG001  # a record counts by its status
    """Before feedback: `text` or `inputs`, `annotation`, `status: "Validated"`."""
    inputs = record.get("inputs")
    fields: Record = dict(inputs) if isinstance(inputs, dict) else {}
    fields |= {"text": record["text"]} if isinstance(record.get("text"), str) else {}
    return fields, {"annotation": [record.get("annotation")] if record.get("status") == "Validated" else []}


def _submitted(values: object, states: object, count: Count) -> list[object]:
    """The values whose state is submitted; where no state is given, all."""
    given = list(values) if isinstance(values, list | tuple) else []
    known = (
        list(states) if isinstance(states, list | tuple) and len(states) == len(given) else ["submitted"] * len(given)
    )
    kept = []
    for value, state in zip(given, known, strict=True):
        if _is_submitted(state):
            kept.append(value)
        else:
            count("response", _state(state), 1)
    return kept


def _label_questions(answers: Sequence[Answers]) -> tuple[str, ...]:
    """The questions whose answers are labels: not spans or rankings, and not free texts if there is another."""
    questions = list(dict.fromkeys(name for one in answers for name in one))
    values = {
        name: [value for one in answers for value in one.get(name, []) if value is not None] for name in questions
    }
    labels = [name for name in questions if all(_labels(value) for value in values[name])]
    repeated = [name for name in labels if _repeats(values[name])]
    return tuple(repeated or labels)


def _repeats(values: list[object]) -> bool:
    different = Counter(str(value) for value in values)
    return len(different) <= max(2, _MOST_DIFFERENT * len(values)) if values else False


def _labels(value: object) -> list[str]:
    """The labels of one answer: a text, a number, or a list of texts for several."""
    if isinstance(value, list | tuple):
        return strings(value)
    return [written(value)] if isinstance(value, str | int | float) and value != "" else []


def _is_nested(record: Record) -> bool:
    return isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), dict)


def _is_flat(record: Record) -> bool:
    return "status" in record and any(
        (key.endswith(_RESPONSES) and f"{key}.users" in record) or key.endswith(f"{_RESPONSES}.status")
        for key in record
    )


def _is_feedback(record: Record) -> bool:
    return any(_are_responses(value) for value in record.values())


def _is_classification(record: Record) -> bool:
    return record.get("status") in _OLD_STATUS and "annotation" in record and ("text" in record or "inputs" in record)


def _are_responses(value: object) -> bool:
    """Whether this is how 1.x writes the responses to a question."""
    if isinstance(value, dict):
        return value.keys() >= {"user_id", "value", "status"} and all(isinstance(one, list) for one in value.values())
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and one.keys() >= {"user_id", "value", "status"} for one in value)
    )


def _dicts(value: object) -> list[Record]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _state(value: object) -> str:
    return str(value).rpartition(".")[2]


def _is_submitted(state: object) -> bool:
    return _state(state) == "submitted"


def _uncounted(noun: str, why: str, number: int) -> None:
    """What is left out is not counted while a file is recognised."""


_KINDS: tuple[tuple[Callable[[Record], bool], Reader], ...] = (
    (_is_nested, _nested),
    (_is_flat, _flat),
    (_is_classification, _classification),
)
