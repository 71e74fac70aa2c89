"""Showing texts that came from somewhere else: what is on the screen is what is in the text, and nothing acts on it."""

from __future__ import annotations

import unicodedata

_BIDI = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def visible(text: str) -> str:
    """`text` with control, bidirectional and line-breaking characters written as escapes: what is shown is there."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in _BIDI
        else character
        for character in text
    )
