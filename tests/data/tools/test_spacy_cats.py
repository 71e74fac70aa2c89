"""spaCy's cats."""

import json
from pathlib import Path

from exports import json_lines, labels, recognized
from feathertune.data.loading import load_dataset
from feathertune.data.tools.recognizing import recognize
from feathertune.recipe.schema import DataSection


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


def test_one_class_alone_holds_or_not() -> None:
    rows = json_lines("""
        {"text": "a", "cats": {"SPAM": 1.0}}
        {"text": "b", "cats": {"SPAM": 0.0}}
        {"text": "c", "cats": {}}
    """)
    tool = recognized(rows[:2])
    assert labels(tool, rows) == [("a", "SPAM"), ("b", "not SPAM"), ("c", None)]
    assert "spaCy: texts without 'SPAM', the only class, have the label 'not SPAM'" in tool.notes()


def test_pairs_of_a_text_and_its_cats_are_rows(tmp_path: Path) -> None:
    pairs = [
        [f"text, {index}", {"entities": [], "cats": {"YES": index % 2, "NO": 1 - index % 2}}] for index in range(6)
    ]
    (tmp_path / "train.json").write_text(json.dumps(pairs))
    dataset = load_dataset(DataSection(source=str(tmp_path / "train.json")), seed=0)
    found = {row.text: dataset.label_names[row.label] for split in dataset.splits.values() for row in split}
    assert found == {f"text, {index}": "YES" if index % 2 else "NO" for index in range(6)}
