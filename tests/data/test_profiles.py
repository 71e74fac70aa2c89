"""What a column looks like, from its values."""

import pytest

from feathertune.data.profiles import Column, by_name

SENTENCES = ["the soup was cold", "nobody came at all", "they sang songs", "it was late then"] * 5
CHINESE = [f"这部电影很好看我喜欢{n}" for n in range(20)]


@pytest.mark.parametrize(
    ("values", "text", "label"),
    [
        ([f"{text} {n}" for n, text in enumerate(SENTENCES)], True, False),
        (CHINESE, True, False),
        (["yes", "no"] * 10, False, True),
        (["true story", "a lie"] * 10, False, True),
        (["2", "3"] * 10, False, True),
        ([2, 3] * 10, False, True),
        ([1.0, 0.0] * 10, False, True),
        (["0.5", "1.5"] * 10, False, False),
        ([f"2024-01-{n + 1:02}" for n in range(10)] * 2, False, False),
        (["http://a.org/x", "http://b.org/y"] * 10, False, False),
        ([f"user-{n}" for n in range(20)], False, False),
        (["only"] * 20, False, False),
        ([None, ""] * 10, False, False),
    ],
)
def test_texts_and_labels(values: list[object], text: bool, label: bool) -> None:
    column = Column("a", values)
    assert (column.looks_like_text, column.looks_like_label) == (text, label)


def test_ratings_with_a_mistake_are_still_mostly_numbers() -> None:
    assert Column("rating", ["1", "0.5", "high"]).mostly_numbers
    assert not Column("rating", ["1", "low", "high"]).mostly_numbers
    assert not Column("rating", [["1"], "2", "3"]).mostly_numbers


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["id", "Text", "label"], "Text"),
        (["reviewText", "summary"], "reviewText"),
        (["tweet_id", "body"], "body"),
        (["tweet_id", "a"], None),
        (["context", "textile"], None),
    ],
)
def test_a_name_counts_as_a_whole_or_as_a_word(names: list[str], found: str | None) -> None:
    column = by_name([Column(name, []) for name in names], ("text", "review", "tweet", "body"))
    assert (None if column is None else column.name) == found
