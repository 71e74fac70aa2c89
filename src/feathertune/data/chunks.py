"""Cutting a stream into chunks that are bounded twice: by how many texts they hold, and by how long these are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def in_chunks(
    items: Iterable[Item], most: int, most_characters: int, length: Callable[[Item], int]
) -> Iterator[list[Item]]:
    """The items in order, in lists of `most`, or of fewer that together are `most_characters` long or just above.

    Work on a chunk takes memory by its characters. A count alone bounds that for sentences, not for whole books.
    """
    chunk: list[Item] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += length(item)
        if len(chunk) == most or characters >= most_characters:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
