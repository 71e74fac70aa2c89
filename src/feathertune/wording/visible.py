"""Showing texts that came from somewhere else: what is on the screen is what is in the text, and nothing acts on it."""

from __future__ import annotations

import unicodedata

_BIDI = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})

MAX_TEXT = 280  # characters of a text from elsewhere


def visible(text: str) -> str:
    """`text` with control, bidirectional and line-breaking characters written as escapes: what is shown is there."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _BIDI
        else character
        for character in text
    )


def shown(text: object, max_length: int = MAX_TEXT) -> str:
    """A text from elsewhere for a page: nothing in it acts on direction or lines, and a long one is cut."""
    whole = str(text)
    if len(whole) <= max_length:
        return visible(whole)
    return f"{visible(whole[:max_length])}… ({len(whole):,} characters)"


def shortened(name: str, max_length: int) -> str:
    """A name on one line, cut where it is longer than `max_length`."""
    name = visible(" ".join(name.split()))
    return name if len(name) <= max_length else name[: max_length - 1] + "…"
