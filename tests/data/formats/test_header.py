"""A first row names the columns, or is an example like the others; where nothing decides, that is said."""

import pytest

from feathertune.data.formats.header import header_evidence

TEXTS = ["the soup was cold when it came", "nobody came to the door at all", "they sang songs all night long"]


def rows(first: list[str], *columns: list[str], count: int = 24) -> list[list[str]]:
    """A first row over columns, whose values are repeated; texts are made different by a number."""
    body = [[column[index % len(column)] for column in columns] for index in range(count)]
    return [first, *([f"{cell} {index}" if cell in TEXTS else cell for cell in row] for index, row in enumerate(body))]


@pytest.mark.parametrize(
    ("first", "second_column", "header"),
    [
        (["text", "label"], ["yes", "no"], True),
        (["What we were told by them", "label"], ["1", "0"], None),  # a long name, or a label among numbers
        (["text", "spam"], ["spam", "ham"], True),  # the name of a column that is also a class
        (["text", "question"], ["question", "answer"], True),
        (["review", "spam"], ["spam", "ham"], None),  # a review of one word, or a name that is also a class
        (["x1", "x2"], ["spam", "ham"], True),  # no class is called x2
        (["the bread was good, too, and warm", "yes"], ["yes", "no"], False),
        (["good", "yes"], ["yes", "no"], False),
        (["good", "1"], ["1", "0"], False),
        (["the bread was good, too, and warm", "0.25"], ["0.5", "1.0"], False),
        (["the bread was good, too, and warm", ""], ["1", "0"], False),  # an empty cell names nothing
        (["the bread was good, too, and warm", "unknown"], ["1", "0"], None),
        (["the bread was good, too, and warm", "rare"], ["yes", "no"], None),  # perhaps a class of one example
        (["remark", "day"], ["2024-01-02", "2024-01-03"], True),
        (["the bread was good, too, and warm", "2024-01-01"], ["2024-01-02", "2024-01-03"], False),
        (["the bread was good, too, and warm", "http://a.org"], ["http://a.org/1", "http://a.org/2"], False),
        (["good", "good"], ["a", "b", "c", "d", "e", "f", "g"], False),  # no two columns have one name
    ],
)
def test_what_is_below_tells(first: list[str], second_column: list[str], header: bool | None) -> None:
    assert header_evidence(rows(first, TEXTS, second_column)) is header


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ([["text", "label"]], True),
        ([["label", "text", "label"]], True),  # refused later: two columns of one name
        ([["it came late and it was broken", "bad"]], False),
        ([["late", "1"]], False),
        ([["late", "bad"]], None),
        ([["comment_text"], ["it came late and it was broken"]], True),
        ([["it came late"], ["it was broken when it came to me"]], None),
        ([["bad", "it came late"], ["good", "it came in time and it was whole"]], None),
        ([["late", "bad"], ["late", "bad"]], False),
        ([["late", "bad"], ["soon", "good"]], None),
        ([["late", "bad"], ["soon", "bad"]], False),
    ],
)
def test_files_of_few_rows(table: list[list[str]], header: bool | None) -> None:
    assert header_evidence(table) is header
