"""Splitting a stream into chunks that are limited both in number of items and in characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def in_chunks(
    items: Iterable[Item],
    max_items: int,
    max_characters: int,
    length: Callable[[Item], int],
    ends: Callable[[], bool] = lambda: False,
) -> Iterator[list[Item]]:
    """The items in order, in lists that end at `max_items` items or once they have `max_characters` characters.

    A list also ends where `ends` is true after an item: the next may take long to come.

    The memory needed for a chunk depends on its characters. A limit on the items alone suffices for sentences, but not
    for whole books.
    """
    chunk: list[Item] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += length(item)
        if len(chunk) == max_items or characters >= max_characters or ends():
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
