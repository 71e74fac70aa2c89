"""How numbers are written in reports, tables and sentences."""

from __future__ import annotations

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def percent(share: float | None, digits: int = 1) -> str:
    """0.7634 -> '76.3%'."""
    return DASH if share is None else f"{100 * share:.{digits}f}%"


def points(difference: float | None) -> str:
    """0.031 -> '+3.1', in percentage points, with a real minus sign."""
    return DASH if difference is None else f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", MINUS)


def span(interval: tuple[float, float] | None, scale: float = 100, digits: int = 1) -> str:
    """(0.749, 0.777) -> '74.9 to 77.7'; empty where there is none."""
    if interval is None:
        return ""
    low, high = (f"{round(scale * end, digits) + 0.0:.{digits}f}".replace("-", MINUS) for end in interval)
    return f"{low} to {high}"


def narrow_span(interval: tuple[float, float] | None, scale: float = 100, digits: int = 1) -> str:
    """(0.749, 0.777) -> '74.9–77.7', for a table; 'to' beside a minus sign."""
    written = span(interval, scale, digits)
    return written if MINUS in written else written.replace(" to ", DASH)


def number(value: float | None, digits: int = 0) -> str:
    """12345.6 -> '12,346'."""
    return DASH if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def count(number: int, noun: str) -> str:
    """(1, 'seed') -> '1 seed', (3, 'seed') -> '3 seeds'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
