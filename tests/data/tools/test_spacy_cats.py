"""spaCy's cats."""

from exports import json_lines, labels, recognized
from feathertune.data.tools.recognizing import recognize


def test_the_class_that_holds_is_the_label_and_several_are_a_list() -> None:
    rows = json_lines("""
        {"text": "a", "cats": {"YES": 1.0, "NO": 0.0}, "meta": {"page": 1}}
        {"text": "b", "cats": {"YES": 1.0, "NO": 1.0}}
        {"text": "c", "cats": {"YES": 0.0, "NO": 0.0}}
        {"text": "d", "cats": {"YES": false, "NO": true}}
    """)
    tool = recognized(rows)
    assert labels(tool, rows) == [("a", "YES"), ("b", ["YES", "NO"]), ("c", None), ("d", "NO")]
    assert tool.notes() == ("spaCy: 1 text without a label (no class is 1)",)


def test_an_object_of_texts_is_something_else() -> None:
    assert recognize([{"text": "a", "cats": {"name": "Tom"}}], None, "jsonl") is None
