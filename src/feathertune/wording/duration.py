"""Seconds as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """'8.2 s', '12 min 3 s', '2 h 5 min'."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
