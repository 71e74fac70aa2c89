"""Argilla's records: only what was submitted counts."""

import json

from exports import json_lines, labels, read, recognized
from feathertune.data.rows import Votes
from feathertune.data.tools.recognizing import recognize


def flat(text: str, values: list[object], states: list[str], question: str = "label") -> dict[str, object]:
    users = [f"user {number}" for number in range(len(values))]
    return {
        "id": text,
        "status": "completed",
        "_server_id": "1",
        "text": text,
        f"{question}.responses": values,
        f"{question}.responses.users": users,
        f"{question}.responses.status": states,
        f"{question}.suggestion": "never",
        f"{question}.suggestion.score": 0.9,
        f"{question}.suggestion.agent": "a model",
    }


def test_flattened_records_of_version_2() -> None:
    rows = [
        flat("a", ["yes"], ["submitted"]),
        flat("b", ["yes", "no", "no"], ["submitted", "draft", "submitted"]),
        flat("c", ["no"], ["discarded"]),
    ]
    tool = recognized(rows)
    assert tool.roles == ("text", "label", ())
    assert labels(tool, rows) == [("a", "yes"), ("b", Votes(("yes", "no"))), ("c", None)]
    assert tool.notes() == (
        "Argilla: 1 response left out (draft)",
        "Argilla: 1 response left out (discarded)",
        "Argilla: 1 record without a label (nothing submitted)",
    )


def test_a_response_of_several_labels_is_a_list_and_no_response_is_null() -> None:
    rows = [flat("a", [["yes", "warm"]], ["submitted"]), flat("b", [["no"]], ["submitted"])]
    rows.append(flat("c", [], []) | {"label.responses": None, "label.responses.users": None, "status": "pending"})
    tool = recognized(rows)
    assert labels(tool, rows) == [("a", ["yes", "warm"]), ("b", "no"), ("c", None)]
    assert tool.notes() == ("Argilla: 1 record without a label (pending)",)


def test_nested_records_of_version_2_count_where_completed() -> None:
    def record(text: str, status: str, *values: str) -> dict[str, object]:
        responses = {"mood": [{"value": value, "user_id": str(number)} for number, value in enumerate(values)]}
        suggestions = {"mood": {"value": "never", "score": None, "agent": None}}
        own = {"id": text, "status": status, "_server_id": "1", "metadata": {"page": 3}, "vectors": {}}
        return {**own, "fields": {"review": text}, "suggestions": suggestions, "responses": responses if values else {}}

    rows = [record("a", "completed", "yes"), record("b", "pending", "no"), record("c", "completed", "no", "no")]
    tool = recognized(rows)
    assert tool.roles == ("review", "mood", ())
    assert labels(tool, rows) == [("a", "yes"), ("b", None), ("c", Votes(("no", "no")))]
    assert tool.notes() == ("Argilla: 1 record without a label (pending)",)


def test_feedback_of_version_1_in_both_of_its_shapes() -> None:
    one_by_one = json_lines("""
        {"text": "a", "label": [{"user_id": "u", "value": "yes", "status": "submitted"}], "label-suggestion": "no"}
        {"text": "b", "label": [{"user_id": "u", "value": "yes", "status": "draft"}], "label-suggestion": "no"}
    """)
    by_lists = json_lines("""
        {"text": "a", "label": {"user_id": ["u"], "value": ["yes"], "status": ["submitted"]}, "metadata": "{}"}
        {"text": "b", "label": {"user_id": ["u"], "value": ["no"], "status": ["discarded"]}, "metadata": "{}"}
    """)
    assert read(one_by_one) == read(by_lists) == [("a", "yes"), ("b", None)]


def test_the_first_records_of_feedback_may_be_without_responses() -> None:
    rows = json_lines("""
        {"text": "a", "label": [], "external_id": null}
        {"text": "b", "label": [{"user_id": "u", "value": "yes", "status": "submitted"}], "external_id": null}
    """)
    assert read(rows) == [("a", None), ("b", "yes")]


def test_text_classification_of_version_1_counts_where_validated() -> None:
    rows = json_lines("""
        {"text": "a", "inputs": {"text": "a"}, "prediction": null, "annotation": "yes", "status": "Validated"}
        {"text": null, "inputs": {"text": "b"}, "prediction": [], "annotation": null, "status": "Default"}
        {"text": "c", "inputs": {"text": "c"}, "annotation": "no", "status": "Discarded"}
        {"text": null, "inputs": {"text": "d"}, "annotation": ["no", "warm"], "status": "Validated"}
    """)
    tool = recognized(rows)
    assert labels(tool, rows) == [("a", "yes"), ("b", None), ("c", None), ("d", ["no", "warm"])]
    assert tool.notes() == (
        "Argilla: 1 record without a label (pending)",
        "Argilla: 1 record without a label (discarded)",
    )


def test_of_several_questions_about_labels_the_user_names_one() -> None:
    rows = [flat(f"text {n}", [value], ["submitted"]) for n, value in enumerate(["yes", "no", "yes", "no"])]
    for number, row in enumerate(rows):
        row |= {f"topic{key}": value for key, value in flat("", ["food"], ["submitted"], "").items() if key[0] == "."}
        comment = {"comment.responses": [f"because {number}"], "comment.responses.users": ["u"]}
        row |= comment
        row["spans.responses"] = [[{"start": 0, "end": 1, "label": "X"}]]
        row["spans.responses.users"] = ["u"]
    assert recognized(rows).roles == ("text", "label", ("label", "topic"))


def test_other_records_with_a_status_are_not_argillas() -> None:
    assert recognize(json.loads('[{"text": "a", "label": "yes", "status": "completed"}]'), None, "json") is None
