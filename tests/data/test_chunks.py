"""A chunk ends at its number of items or of characters, whichever comes first, and nothing is lost."""

import pytest

from feathertune.data.chunks import in_chunks


@pytest.mark.parametrize(
    ("max_items", "max_characters", "lengths"),
    [
        (2, 100, [2, 2, 1]),
        (100, 4, [4, 1]),  # the fourth text brings the characters from 3 to 9
        (2, 3, [2, 2, 1]),
        (100, 1, [1, 1, 1, 1, 1]),
        (100, 100, [5]),
    ],
)
def test_a_chunk_ends_by_count_or_by_characters(max_items: int, max_characters: int, lengths: list[int]) -> None:
    texts = ["a", "b", "c", "a long", "d"]
    chunks = list(in_chunks(iter(texts), max_items, max_characters, len))
    assert [len(chunk) for chunk in chunks] == lengths
    assert [text for chunk in chunks for text in chunk] == texts


def test_no_items_are_no_chunks() -> None:
    assert list(in_chunks([], 3, 3, len)) == []
