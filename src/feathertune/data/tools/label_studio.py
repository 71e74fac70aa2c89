"""Label Studio's JSON: tasks with their annotations; before version 1.0 these were called completions.

By the rules of its own converter: annotations that were cancelled (before 1.0: skipped) do not count, the newest comes
first, and several choices of an annotation are several labels. Predictions and drafts are no annotations. A choice for
a part of a text (with start and end) is no label of the text. Of an annotator's own annotations the newest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Record, Records, Tool, label_of, scalars, strings, text_key, written
from feathertune.errors import UserError

_KINDS = ("choices", "rating")  # of answers that are a label of the whole text, the likeliest first
_ANSWERED = "_data_"  # Label Studio 2's own prefix for a key of the data that a question has, too


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:
    """By tasks with `data` and `annotations` or `completions`.

    Raises:
        UserError: no annotation has choices, but others have spans or the like.
    """
    if not all(isinstance(one.get("data"), dict) and _annotations(one) is not None for one in records):
        return None
    questions: dict[str, dict[str, str]] = {}  # kind -> name of the question -> name of what it is about
    for result in (
        one for record in records for annotation in _annotations(record) or () for one in _results(annotation)
    ):
        questions.setdefault(str(result.get("type")), {})[str(result.get("from_name"))] = str(result.get("to_name"))
    kind = next((kind for kind in _KINDS if kind in questions), None)
    if kind is None and questions:
        raise UserError(
            f"Label Studio's export has no choices, only {', '.join(sorted(questions))}",
            where=name,
            fix="Label whole texts by <Choices>, and export again as JSON.",
        )
    data = [one["data"] for one in records if isinstance(one["data"], dict)]
    about = questions.get(kind or "", {})
    text = text_key(data, [*dict.fromkeys(about.values()), "text"])
    return None if text is None else LabelStudio(text, tuple(about), kind or _KINDS[0])


class LabelStudio(Tool):
    """Tasks as rows: the keys of their data, and the answers to each question by its name.

    `questions` is empty where the first tasks have no annotation; then any answer is the `label`.
    """

    name = "Label Studio"

    def __init__(self, text: str, questions: tuple[str, ...], kind: str) -> None:
        self._text, self._questions, self._kind = text, questions, kind
        self._columns = questions or ("label",)
        column = f"{_ANSWERED}{text}" if text in self._columns else text
        super().__init__(Roles(column, self._columns[0], questions if len(questions) > 1 else ()))

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            data, annotations = record.fields.get("data"), _annotations(record.fields)
            if not isinstance(data, dict) or annotations is None:
                yield BadRow(record.place, "no task of Label Studio: `data` or `annotations` is missing")
                continue
            newest = self._counted(annotations)
            answers = {name: label_of([self._answers(one, name) for one in newest]) for name in self._columns}
            values = {f"{_ANSWERED}{key}" if key in answers else key: value for key, value in scalars(data).items()}
            yield Row(record.place, record.row, {"id": record.fields.get("id")} | values | answers)

    def _counted(self, annotations: list[Record]) -> list[Record]:
        """The annotations that count, newest first, one of each annotator."""
        given = [one for one in annotations if not (one.get("was_cancelled") or one.get("skipped"))]
        self._leave_out("annotation", "cancelled", len(annotations) - len(given))
        given.sort(key=lambda one: str(one.get("created_at") or ""), reverse=True)
        of_annotators: dict[object, Record] = {}
        for one in given:
            of_annotators.setdefault(_annotator(one), one)
        self._leave_out("annotation", "the same annotator's is newer", len(given) - len(of_annotators))
        return list(of_annotators.values())

    def _answers(self, annotation: Record, question: str) -> list[str]:
        """The labels that an annotation gives as the answer to a question."""
        labels: list[str] = []
        for result in _results(annotation):
            value = result.get("value")
            if self._questions and result.get("from_name") != question:
                continue
            if result.get("type") != self._kind or not isinstance(value, dict):
                continue
            answer = value.get(self._kind)
            labels += [written(answer)] if isinstance(answer, int | float | str) else strings(answer)
        return list(dict.fromkeys(labels))


def _annotations(record: Record) -> list[Record] | None:
    value = record.get("annotations", record.get("completions"))
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else None


def _results(annotation: Record) -> list[Record]:
    """The parts of an annotation that are about the whole text, or nothing else is (types that are no label)."""
    results = annotation.get("result")
    given = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    return [one for one in given if not (one.get("type") in _KINDS and _is_part(one.get("value")))]


def _is_part(value: object) -> bool:
    return isinstance(value, dict) and "start" in value


def _annotator(annotation: Record) -> object:
    """Who made it: an id, or what tells this annotation from all others where nobody is named."""
    who = annotation.get("completed_by")
    who = who.get("id", who.get("email")) if isinstance(who, dict) else who
    return id(annotation) if who is None else f"{who}"
