"""How texts and table rows are written in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def escaped(text: str) -> str:
    """Text that Markdown shows as it is and on one line, even where a class is called `<b>|`."""
    text = text.replace("\n", " ")
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return text


def markdown_row(cells: Iterable[str]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def markdown_table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A whole Markdown table; the first column is aligned left, the others right."""
    heads = list(headers)
    rule = "| :-- |" + " --: |" * (len(heads) - 1)
    return "\n".join([markdown_row(heads), rule, *map(markdown_row, rows)])


def fenced(text: str, language: str = "") -> str:
    """A fenced code block, its fence longer than any run of backticks in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
