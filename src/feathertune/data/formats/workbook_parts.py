"""What calamine does not tell of an xlsx sheet: its cells with errors, and values far from the others.

calamine reads an error (#N/A) as an empty cell, and lays out a sheet as a full rectangle: a value in the last possible
cell would take 500 GB, and end the process. Both are found in the sheet's XML, which is passed over once.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.etree import ElementTree

from feathertune.errors import UserError

_PIECE, _OVERLAP = 2**20, 2**10  # bytes; a cell's start tag is shorter than the overlap
_MAX_CELLS = 2**27  # of 32 bytes each
_ERROR = re.compile(rb'<(?:\w+:)?c [^<>]*\bt="e"[^<>]*>')
_FAR = re.compile(
    rb'<(?:\w+:)?c r="([A-Z]{3})(\d+)"[^<>/]*>'
)  # with content; columns of two letters are never too many
_CELL = re.compile(rb'\br="([A-Z]+\d+)"')
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


class CellErrors(NamedTuple):
    """How many cells of a sheet hold an error of Excel's, and the name of the first."""

    number: int
    first: str


def cell_errors(file: Path | BinaryIO, sheet: str, place: str) -> CellErrors:
    """The errors in a sheet of a workbook; none where it is no xlsx file.

    Raises:
        UserError: the sheet would not fit in memory, because of a value far from the others.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            part = _part(archive, sheet)
            return CellErrors(0, "") if part is None else _scan(archive, part, sheet, place)
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError):  # another kind, or damaged: calamine says so
        return CellErrors(0, "")


def _part(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """The name of the sheet's XML file within the archive."""
    if "xl/workbook.xml" not in archive.namelist():
        return None
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314  # expat limits what entities expand to
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    identity = next(
        (one.get(_RELATION) for one in book.iter() if one.get("name") == sheet and one.get(_RELATION)), None
    )
    target = next((one.get("Target", "") for one in relations if one.get("Id") == identity), "")
    name = target[1:] if target.startswith("/") else f"xl/{target}"
    return name if name in archive.namelist() else None


def _scan(archive: zipfile.ZipFile, part: str, sheet: str, place: str) -> CellErrors:
    count, first = 0, ""
    far: tuple[int, bytes] = (0, b"")
    last_row = 0
    text = b""
    with archive.open(part) as file:
        while piece := file.read(_PIECE):
            seen, text = len(text), text + piece
            for match in _ERROR.finditer(text) if b't="e"' in text else ():
                if match.end() > seen:
                    cell = _CELL.search(match[0])
                    count, first = count + 1, first or (cell[1].decode() if cell else "?")
            for match in _FAR.finditer(text):
                far = max(far, (_column(match[1]), match[1] + match[2]))
            row = text.rfind(b'<row r="')
            if row >= 0:
                digits = re.match(rb"\d+", text[row + 8 :])
                last_row = int(digits[0]) if digits else last_row
            text = text[-_OVERLAP:]
    if far[0] * last_row > _MAX_CELLS:
        raise UserError(
            f"the sheet {sheet!r} has a value in cell {far[1].decode()}, far from the others: too large a table",
            where=place,
            fix="Delete the columns beyond the data and save the workbook, or save the sheet as csv.",
        )
    return CellErrors(count, first)


def _column(letters: bytes) -> int:
    """The 1-based number of a column: A is 1, AAA is 703."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
