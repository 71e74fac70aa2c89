"""How a file is read: what the user set, what was found, and the rows that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from feathertune.data.formats.encoding import encoding_title
from feathertune.data.rows import BadRow, Row

_SEPARATORS = {",": "comma", "\t": "tab"}


@dataclass(frozen=True)
class FileSettings:
    """What the user set about a file (the keys of the same names in a recipe's `data`); None is found by content."""

    format: str | None = None
    separator: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    columns: tuple[str, ...] | None = None
    header: bool | None = None
    sheet: str | None = None
    field: str | None = None


@dataclass(frozen=True)
class FileFormat:
    """How a file is read.

    Attributes:
        kind: csv (any separator), jsonl, json, parquet, arrow, xlsx, ods, txt, or a label tool's own (fasttext, rasa).
        separator: between the fields of a line, for kind csv.
        quote: the quote character of kind csv; None where quotes are plain characters.
        escape: the character before a quote that is part of the text; None where it is doubled.
        header: whether the first row names the columns; None where the kind has names of its own.
        encoding: Python's name of the encoding; None for binary kinds.
        compression: gz, bz2, zst or zip, or None.
        sheet: of a workbook.
        field: the key under which a JSON file has its rows.
        tool: the label tool that wrote the file, such as 'Label Studio'.
        line_ends: CR, as on a Macintosh before 2001; None for the usual ones, which need no mention.
    """

    kind: str
    separator: str | None = None
    quote: str | None = None
    escape: str | None = None
    header: bool | None = None
    encoding: str | None = "utf-8"
    compression: str | None = None
    sheet: str | None = None
    field: str | None = None
    tool: str | None = None
    line_ends: str | None = None

    def sentence(self) -> str:
        """How the file is read, in one line: 'read as: csv, `;` separated, no header, Windows-1252'."""
        parts = [self.kind if self.tool is None else f"{self.tool} ({self.kind})"]
        if self.separator is not None:
            parts.append(f"{_SEPARATORS.get(self.separator, f'`{self.separator}`')} separated")
        if self.separator is not None and self.quote != '"':
            parts.append("quotes are characters" if self.quote is None else f"fields in {self.quote}")
        if self.escape is not None:
            parts.append("quotes escaped by a backslash" if self.escape == "\\" else f"quotes escaped by {self.escape}")
        if self.header is not None:
            parts.append("with a header" if self.header else "no header")
        parts += [f"sheet {self.sheet!r}"] if self.sheet is not None else []
        parts += [f"rows under {self.field!r}"] if self.field is not None else []
        parts += [encoding_title(self.encoding)] if self.encoding is not None else []
        parts += [f"lines end with {self.line_ends}"] if self.line_ends is not None else []
        parts += [f"compressed ({self.compression})"] if self.compression is not None else []
        return f"read as: {', '.join(parts)}"


class Roles(NamedTuple):
    """The columns of the text and of the label, where the kind of file itself says which they are.

    Where a label tool put several questions about a text, `choices` are the columns of the answers, of which the user
    must name one (`tools.recognizing.unclear_label` is the error); `label` is then the first of them.
    """

    text: str
    label: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The rows of one split, which can be read repeatedly.

    Attributes:
        place: the file's path, or Hub id and split, for messages.
        name: the file's name, or the Hub's name of the split.
        read: (names for the columns of a file without a header, or None) -> the rows. Without names, the columns of
            such a file are called 'column 1', 'column 2' ...
        fixed_columns: whether all rows have the same columns (not in jsonl).
        format: how the file is read; None for a split from the Hub.
        columns: the names of the columns, where they are known before the first row; of a file without a header, the
            names that `read` gives without names.
        roles: the columns of text and label, where the kind of file says which they are.
        notes: what the user should know about the file, one sentence each.
        notes_after: more of them, which are known once `read` has gone through all rows, such as how many a label tool
            had cancelled; about the latest reading.
        records: of a label tool's export, its records as they are in the file, from which `read` makes rows. It leaves
            out those without a label that counts, whose texts `predict` takes all the same.
    """

    place: str
    name: str
    read: Callable[[tuple[str, ...] | None], Iterator[Row | BadRow]]
    fixed_columns: bool
    format: FileFormat | None = None
    columns: tuple[str, ...] | None = None
    roles: Roles | None = None
    notes: tuple[str, ...] = ()
    notes_after: Callable[[], tuple[str, ...]] = tuple
    records: Callable[[], Iterator[Row | BadRow]] | None = None

    @property
    def headerless(self) -> bool:
        """Whether the file has columns without names, which `read` may be given."""
        return self.format is not None and self.format.header is False
