"""Text files with one text per line, in the column `text`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from feathertune.data.formats.lines import Lines, without_line_end
from feathertune.data.rows import BadRow, Row


def read_txt(path: Path) -> Iterator[Row | BadRow]:
    """The lines of a file, each as a row."""
    with path.open("rb") as file:
        lines = Lines(file, path)
        for line in lines:
            problem, place = lines.take_problem(), f"{path}:{lines.number}"
            if problem is not None:
                yield BadRow(place, problem.reason, problem.fix)
            else:
                yield Row(place, lines.number, {"text": without_line_end(line)})
