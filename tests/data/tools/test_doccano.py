"""doccano's exports of several versions."""

import pytest

from exports import json_lines, labels, read, recognized
from feathertune.data.rows import Votes
from feathertune.data.tools.recognizing import recognize
from feathertune.errors import UserError


def test_labels_are_lists_and_an_empty_one_is_no_label() -> None:
    rows = json_lines("""
        {"id": 1, "text": "warm soup", "label": ["yes"], "Comments": []}
        {"id": 2, "text": "cold soup", "label": ["bad", "no"], "Comments": ["really?"]}
        {"id": 3, "text": "a lamp", "label": [], "Comments": []}
    """)
    assert read(rows) == [("warm soup", "yes"), ("cold soup", ["bad", "no"]), ("a lamp", None)]


@pytest.mark.parametrize(("text", "label"), [("text", "labels"), ("data", "label"), ("text", "cats")])
def test_versions_name_columns_differently(text: str, label: str) -> None:
    assert read([{"id": 1, text: "warm soup", label: ["yes"]}]) == [("warm soup", "yes")]


def test_csv_joins_labels_by_a_number_sign() -> None:
    rows: list[dict[str, object]] = [
        {"id": "1", "text": "a", "label": "bad#no", "Comments": ""},
        {"id": "2", "text": "b", "label": "C#", "Comments": ""},
        {"id": "3", "text": "c", "label": "", "Comments": ""},
    ]
    assert read(rows) == [("a", ["bad", "no"]), ("b", "C#"), ("c", None)]


def test_a_text_and_a_label_alone_are_enough_where_number_signs_join_labels() -> None:
    cells = ["yes", "no#warm", "yes#warm", "no", "yes#warm", "yes", "no#warm", "no"]
    rows: list[dict[str, object]] = [{"text": f"text {n}", "label": cell} for n, cell in enumerate(cells)]
    assert read(rows)[:2] == [("text 0", "yes"), ("text 1", ["no", "warm"])]


@pytest.mark.parametrize("cells", [["C#", "F#", "C", "F"], ["issue #1", "issue #2"], ["a#1", "b", "a#1", "b"]])
def test_number_signs_in_names_join_nothing(cells: list[str]) -> None:
    rows: list[dict[str, object]] = [{"text": f"text {n}", "label": cell} for n, cell in enumerate(cells * 4)]
    assert recognize(rows, ("text", "label"), "csv", "a.csv") is None


def test_before_version_1_labels_are_numbers_given_by_users() -> None:
    def row(number: int, *annotations: tuple[int, int]) -> dict[str, object]:
        given = [{"label": label, "user": user} for label, user in annotations]
        return {"id": number, "text": "abc"[number], "annotations": given, "meta": {}, "annotation_approver": None}

    rows = [row(0, (15, 1)), row(1, (15, 1), (16, 2)), row(2)]
    tool = recognized(rows)
    assert labels(tool, rows) == [("a", "15"), ("b", Votes(("15", "16"))), ("c", None)]
    assert tool.notes() == (
        "doccano before 1.0: labels are doccano's numbers for them, as names are not in the file; label.map names them",
    )


def test_before_version_1_csv_has_a_row_for_each_annotation() -> None:
    rows: list[dict[str, object]] = [
        {"annotation_approver": "", "id": "1", "label": "15", "text": "a", "user": "1"},
        {"annotation_approver": "", "id": "1", "label": "16", "text": "a", "user": "1"},
        {"annotation_approver": "", "id": "2", "label": "16", "text": "b", "user": "1"},
    ]
    assert read(rows) == [("a", ["15", "16"]), ("b", "16")]


def test_spans_are_refused_by_that_name() -> None:
    for row in (
        {"id": 1, "text": "in Rome", "label": [[3, 7, "CITY"]], "Comments": []},
        {"id": 1, "text": "a", "annotations": [{"label": 1, "start_offset": 0}], "annotation_approver": None},
    ):
        with pytest.raises(UserError, match="spans, not of whole texts"):
            recognize([row], None, "jsonl", "ner.jsonl")


def test_a_list_of_one_label_without_doccanos_columns_is_a_plain_file() -> None:
    assert recognize([{"text": "a", "label": ["yes"]}], None, "jsonl", "a.jsonl") is None
    assert recognize([{"id": "x", "text": "a", "labels": [27]}], None, "jsonl", "a.jsonl") is None
