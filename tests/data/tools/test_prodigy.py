"""Prodigy's answers: what was rejected is never taught as true."""

import json
from pathlib import Path

import pytest

from exports import json_lines, labels, read, recognized
from feathertune.data.loading import load_dataset
from feathertune.data.rows import Votes
from feathertune.data.tools.recognizing import recognize
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection


def answer(text: str, label: str, said: str, **more: object) -> dict[str, object]:
    return {"text": text, "label": label, "answer": said, "meta": {"source": "x"}, **more}


def test_rows_of_one_input_are_merged() -> None:
    rows = [
        answer("a", "FOOD", "reject", _input_hash=1),
        answer("a", "HOME", "accept", _input_hash=1),
        answer("b", "BOAT", "reject", _input_hash=2),
        answer("b", "FOOD", "ignore", _input_hash=2),
        answer("c", "BOAT", "ignore", _input_hash=3),
        answer("d", "BOAT", "accept", _input_hash=4),
        answer("d", "FOOD", "accept", _input_hash=4),
        answer("e", "FOOD", "accept", _input_hash=5),
        answer("e", "FOOD", "reject", _input_hash=5),
    ]
    tool = recognized(rows)
    assert labels(tool, rows) == [
        ("a", "HOME"),
        ("b", None),
        ("c", None),
        ("d", ["BOAT", "FOOD"]),
        ("e", None),
    ]
    assert tool.notes() == (
        "Prodigy: 2 answers left out (ignored)",
        "Prodigy: 1 text without a label (only rejected)",
        "Prodigy: 1 text without a label (accepted and rejected)",
    )


def test_inputs_without_a_hash_are_merged_by_their_text() -> None:
    rows = [answer("a", "X", "reject"), answer("a", "Y", "accept"), answer("b", "Z", "accept")]
    assert read(rows) == [("a", "Y"), ("b", "Z")]


def test_a_single_label_makes_a_class_of_what_it_was_rejected_for() -> None:
    rows = [answer("a", "INSULT", "accept"), answer("b", "INSULT", "reject"), answer("c", "INSULT", "ignore")]
    tool = recognized(rows)
    assert labels(tool, rows) == [("a", "INSULT"), ("b", "not INSULT"), ("c", None)]
    assert "'INSULT' is the only label, so what was rejected is the class 'not INSULT'" in tool.notes()[-1]


def test_of_two_labels_a_rejected_one_does_not_make_the_other_true() -> None:
    rows = [answer("a", "X", "accept"), answer("b", "Y", "accept"), answer("c", "Y", "reject")]
    tool = recognized(rows)
    assert labels(tool, rows) == [("a", "X"), ("b", "Y"), ("c", None)]
    assert tool.notes() == (
        "Prodigy: 1 text without a label (only rejected)",
        "Prodigy: rejecting one of the two labels is not taken to mean the other",
    )


def test_annotators_votes_count_against_each_other() -> None:
    def by(who: str, label: str, said: str) -> dict[str, object]:
        return answer("a", label, said, _input_hash=1, _annotator_id=who)

    rows = [by("1", "X", "accept"), by("2", "X", "accept"), by("3", "X", "reject"), by("3", "Y", "accept")]
    assert read(rows) == [("a", Votes(("X", "X", "Y")))]


def test_options_are_labels_where_the_answer_is_accept() -> None:
    rows = json_lines("""
        {"text": "a", "options": [{"id": "yes"}, {"id": "no"}], "accept": ["yes"], "answer": "accept"}
        {"text": "b", "options": [{"id": "yes"}, {"id": "no"}], "accept": ["yes", "no"], "answer": "accept"}
        {"text": "c", "options": [{"id": "yes"}, {"id": "no"}], "accept": ["yes"], "answer": "reject"}
        {"text": "d", "options": [{"id": "yes"}, {"id": "no"}], "accept": [], "answer": "accept"}
        {"text": "e", "options": [{"id": "yes"}, {"id": "no"}], "accept": ["no"], "answer": "ignore"}
        {"text": "f", "options": [{"id": 1}, {"id": 2}], "accept": [2], "answer": "accept"}
    """)
    tool = recognized(rows)
    assert labels(tool, rows) == [
        ("a", "yes"),
        ("b", ["yes", "no"]),
        ("c", None),
        ("d", None),
        ("e", None),
        ("f", "2"),
    ]
    assert tool.notes() == (
        "Prodigy: 1 answer left out (ignored)",
        "Prodigy: 2 texts without a label (no option accepted)",
    )


def test_answers_about_spans_are_refused_by_that_name() -> None:
    row = {"text": "in Rome", "spans": [{"start": 3, "end": 7, "label": "CITY"}], "answer": "accept"}
    with pytest.raises(UserError, match="spans, not about whole texts"):
        recognize([row], None, "jsonl", "ner.jsonl")


def test_the_answer_is_not_taken_for_a_text_that_is_not_used(tmp_path: Path) -> None:
    rows = [answer(f"a fine day {n}", ["GOOD", "BAD"][n % 2], ["accept", "reject"][n % 4 // 2]) for n in range(40)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    notes = load_dataset(DataSection(source=str(tmp_path / "a.jsonl")), seed=0).notes
    assert "text: 'text', label: 'label'" in notes
    assert not [note for note in notes if "not used" in note]
