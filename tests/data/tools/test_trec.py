"""TREC's questions, each after its class and finer class."""

from pathlib import Path

from feathertune.data.formats.format import FileSettings
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import BadRow, Row

LINES = "DESC:manner How did serfdom develop ?\nHUM:ind Who was he: the first ?\nDESC:manner How do they ?\n"


def test_the_first_word_is_the_label(tmp_path: Path) -> None:
    (tmp_path / "train_5500.label").write_text(LINES)
    table = open_file(tmp_path / "train_5500.label", FileSettings()).tables["train"]
    assert table.format is not None
    assert table.format.sentence() == "read as: TREC (txt), UTF-8"
    assert [row.fields for row in table.read(None) if isinstance(row, Row)] == [
        {"text": "How did serfdom develop ?", "label": "DESC:manner"},
        {"text": "Who was he: the first ?", "label": "HUM:ind"},
        {"text": "How do they ?", "label": "DESC:manner"},
    ]


def test_a_line_without_a_class_among_many_is_bad(tmp_path: Path) -> None:
    (tmp_path / "a.label").write_text(LINES * 700 + "How do they ?\n")
    (bad,) = [
        row
        for row in open_file(tmp_path / "a.label", FileSettings()).tables["train"].read(None)
        if isinstance(row, BadRow)
    ]
    assert bad.place == f"{tmp_path}/a.label:2101"


def test_lines_that_begin_otherwise_are_plain_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(LINES + "How do they ?\n")
    table = open_file(tmp_path / "a.txt", FileSettings()).tables["train"]
    assert len([row for row in table.read(None) if isinstance(row, Row)]) == 4
