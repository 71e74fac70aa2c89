"""fastText's lines: `__label__x` words, by habit first, and a text. doccano writes them, too.

fastText knows no quotes, but doccano (1.8.5) writes its lines as a csv of one column: a line with a comma or a quote is
in double quotes, its own doubled, and may hold line ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Records, Tool, label_of

PREFIX = "__label__"
_LABEL = re.compile(rf"(?:(?<=\s)|^){PREFIX}(\S+)\s*")
_QUOTED = f'"{PREFIX}'
_LEAST_SHARE = 0.5  # of the lines: others have no label, and fastText passes over them


def recognize(lines: Sequence[str]) -> Tool | None:
    """By lines with labels."""
    written = [line for line in lines if line.strip()]
    labelled = sum(_LABEL.search(line.removeprefix('"')) is not None for line in written)
    return FastText() if written and labelled >= _LEAST_SHARE * len(written) else None


class FastText(Tool):
    """Lines of labels and a text; several labels are a list. Lines may be without a label."""

    name = "fastText"

    def __init__(self) -> None:
        super().__init__(Roles("text", "label"))

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        for row in _unquoted(records):
            if isinstance(row, BadRow):
                yield row
                continue
            line = str(row.fields["text"])
            labels = _LABEL.findall(line)
            if not line.strip():
                continue
            yield Row(row.place, row.row, {"text": _LABEL.sub("", line).strip(), "label": label_of([labels])})


def _unquoted(records: Records) -> Iterator[Row | BadRow]:
    """The lines, those in double quotes as they were before: one, or several that a quoted text goes over."""
    for row in records:
        if isinstance(row, BadRow) or not str(row.fields["text"]).startswith(_QUOTED):
            yield row
            continue
        line = str(row.fields["text"])
        while line.count('"') % 2:
            following = next(records, None)
            if following is None or isinstance(following, BadRow):
                yield BadRow(row.place, "the line begins with a quote that is never closed")
                if following is not None:
                    yield following
                break
            line += "\n" + str(following.fields["text"])
        else:
            inner = line.rstrip()[1:-1].replace('""', '"')
            yield Row(row.place, row.row, {"text": inner})
