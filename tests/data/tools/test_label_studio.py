"""Label Studio's exports, by the rules of its own converter."""

import pytest

from exports import labels, read, recognized
from feathertune.data.rows import Votes
from feathertune.data.tools.recognizing import recognize, unclear_label
from feathertune.errors import UserError


def choice(*choices: str, question: str = "mood", **more: object) -> dict[str, object]:
    return {"from_name": question, "to_name": "text", "type": "choices", "value": {"choices": list(choices)}, **more}


def annotation(*results: dict[str, object], **more: object) -> dict[str, object]:
    return {"id": 1, "completed_by": 1, "was_cancelled": False, "result": list(results), **more}


def task(text: str, *annotations: dict[str, object], key: str = "annotations", **more: object) -> dict[str, object]:
    return {"id": 7, "data": {"text": text, "source": "a web page with a long address"}, key: list(annotations), **more}


def test_a_task_with_one_annotation_has_its_choice() -> None:
    tasks = [task("warm soup", annotation(choice("yes"))), task("cold soup", annotation(choice("no")))]
    assert read(tasks) == [("warm soup", "yes"), ("cold soup", "no")]
    assert recognized(tasks).roles == ("text", "mood", ())


def test_before_version_1_annotations_were_completions_and_skipped() -> None:
    tasks = [
        task("a", annotation(choice("yes")), key="completions"),
        task("b", annotation(choice("no"), skipped=True), key="completions"),
    ]
    tool = recognized(tasks)
    assert labels(tool, tasks) == [("a", "yes"), ("b", None)]
    assert tool.notes() == ("Label Studio: 1 annotation left out (cancelled)",)


def test_several_annotators_are_votes_with_the_newest_first_and_one_of_each() -> None:
    old = annotation(choice("no"), completed_by={"id": 1, "email": "a@b.c"}, created_at="2024-01-01T00:00:00Z")
    other = annotation(choice("yes"), completed_by=2, created_at="2024-01-02T00:00:00Z")
    newer = annotation(choice("maybe"), completed_by={"id": 1}, created_at="2024-01-03T00:00:00Z")
    cancelled = annotation(choice("no"), completed_by=3, created_at="2024-01-04T00:00:00Z", was_cancelled=True)
    tasks = [task("a", old, other, newer, cancelled)]
    tool = recognized(tasks)
    assert labels(tool, tasks) == [("a", Votes(("maybe", "yes")))]
    assert tool.notes() == (
        "Label Studio: 1 annotation left out (cancelled)",
        "Label Studio: 1 annotation left out (the same annotator's is newer)",
    )


def test_annotations_without_a_named_annotator_are_several_annotators() -> None:
    one, other = ({"result": [choice(label)]} for label in ("yes", "no"))
    assert read([task("a", one, other)]) == [("a", Votes(("yes", "no")))]


def test_several_choices_are_several_labels() -> None:
    assert read([task("a", annotation(choice("yes", "warm")))]) == [("a", ["yes", "warm"])]


def test_predictions_tasks_without_annotations_and_parts_of_a_text_are_no_labels() -> None:
    part = choice("yes") | {"value": {"start": 0, "end": 1, "text": "a", "choices": ["yes"]}}
    tasks = [
        task("a", annotation(choice("yes"))),
        task("b", predictions=[annotation(choice("no"))]),
        task("c", annotation(part)),
    ]
    assert read(tasks) == [("a", "yes"), ("b", None), ("c", None)]


def test_several_questions_are_columns_of_which_the_user_names_one() -> None:
    tasks = [task("a", annotation(choice("yes"), choice("food", question="topic")))]
    tool = recognized(tasks)
    assert tool.roles == ("text", "mood", ("mood", "topic"))
    error = unclear_label(tool.roles, "export.json")
    assert "'mood', 'topic'" in str(error)
    assert "data.label.column=mood" in str(error)


def test_a_question_named_like_the_text_leaves_the_text_readable() -> None:
    assert read([task("warm soup", annotation(choice("yes", question="text")))]) == [("warm soup", "yes")]


def test_first_tasks_may_be_without_annotations() -> None:
    tool = recognized([task("a"), task("b")])
    assert labels(tool, [task("a"), task("b", annotation(choice("yes")))]) == [("a", None), ("b", "yes")]


def test_ratings_are_labels_where_there_are_no_choices() -> None:
    rating = {"from_name": "stars", "to_name": "text", "type": "rating", "value": {"rating": 4}}
    assert read([task("a", annotation(rating))]) == [("a", "4")]


def test_an_export_of_spans_is_refused_by_that_name() -> None:
    span = {"from_name": "ner", "to_name": "text", "type": "labels", "value": {"start": 0, "end": 1, "labels": ["X"]}}
    with pytest.raises(UserError, match="no choices, only labels"):
        recognize([task("a", annotation(span))], None, "json", "ner.json")


OWN = {"annotator": 1, "annotation_id": 1, "created_at": "2024", "updated_at": "2024", "lead_time": 1.2}


def test_json_min_has_its_answers_between_id_and_annotator() -> None:
    rows: list[dict[str, object]] = [
        {"text": "a long text about soup", "source": "x", "id": 1, "mood": "yes", **OWN},
        {"text": "another text about a lamp", "source": "y", "id": 2, "mood": {"choices": ["no", "warm"]}, **OWN},
        {"text": "a third text about a boat", "source": "x", "id": 3, "mood": "yes", **OWN},
        {"text": "a fourth text about a day", "source": "x", "id": 4, **OWN},
    ]
    tool = recognized(rows)
    assert tool.roles == ("text", "mood", ())
    assert [label for _, label in labels(tool, rows)] == ["yes", ["no", "warm"], "yes", None]


def test_rows_of_one_task_are_its_annotators_newest_first() -> None:
    def row(number: int, label: str, annotator: str, day: int) -> dict[str, object]:
        own = OWN | {"annotator": annotator, "created_at": f"2024-01-0{day}"}
        return {key: own.get(key, "") for key in sorted(own)} | {
            "id": number,
            "mood": label,
            "text": f"a text {number}",
        }

    rows = [row(1, "yes", "a@b.c", 1), row(2, "no", "a@b.c", 1), row(1, "no", "d@e.f", 2), row(2, "yes", "a@b.c", 3)]
    assert read(rows) == [("a text 1", Votes(("no", "yes"))), ("a text 2", "yes")]


def test_csv_has_choices_as_json_and_a_data_key_may_have_been_renamed() -> None:
    rows: list[dict[str, object]] = [
        {"_data_text": "a text about soup", "id": 1, "text": '{"choices": ["a label that is long", "b"]}', **OWN},
        {"_data_text": "a text about lamps", "id": 2, "text": "b", **OWN},
    ]
    assert read(rows) == [("a text about soup", ["a label that is long", "b"]), ("a text about lamps", "b")]


def test_a_generic_file_is_not_label_studios() -> None:
    assert recognize([{"id": 1, "text": "a", "label": "yes", "annotator": 1}], None, "csv", "a.csv") is None
