"""fastText's lines, and doccano's form of them."""

from exports import read_lines
from feathertune.data.rows import BadRow, Row, Votes
from feathertune.data.tools.recognizing import recognize


def pairs(text: str) -> list[tuple[object, object]]:
    return [(row.fields["text"], row.fields["label"]) for row in read_lines(text) if isinstance(row, Row)]


def test_a_line_has_labels_by_first_words_or_anywhere() -> None:
    assert pairs("__label__yes warm  soup\nthe __label__no lamp\n__label__a __label__b a day\n\n__label__c\tx") == [
        ("warm  soup", "yes"),
        ("the lamp", "no"),
        ("a day", ["a", "b"]),
        ("x", "c"),
    ]


def test_quotes_are_text_unless_doccano_put_a_line_in_them() -> None:
    assert pairs('__label__yes "warm" soup\n"__label__no a ""dull"", grey stone"\n') == [
        ('"warm" soup', "yes"),
        ('a "dull", grey stone', "no"),
    ]


def test_a_quoted_text_may_go_over_lines() -> None:
    rows = read_lines('__label__yes a\n"__label__no two\nlines, here"\n__label__yes b')
    assert [row.place for row in rows] == ["data.txt:1", "data.txt:2", "data.txt:4"]
    assert isinstance(rows[1], Row)
    assert rows[1].fields == {"text": "two\nlines, here", "label": "no"}


def test_a_quote_that_is_never_closed_is_a_bad_row() -> None:
    assert isinstance(read_lines('__label__yes a\n"__label__no b')[1], BadRow)


def test_lines_without_a_label_are_texts_without_one() -> None:
    assert pairs("__label__yes a\n\nc") == [("a", "yes"), ("c", Votes())]


def test_a_text_about_labels_is_no_fasttext_file() -> None:
    assert recognize([{"text": "fastText has __label__x words"}, {"text": "a"}, {"text": "b"}], None, "txt") is None
