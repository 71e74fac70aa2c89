"""The kind of a file, by its content: its first bytes, or how its first lines read. A name is a hint at most.

What cannot hold rows of text is refused: see `no_data.py`.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from feathertune.data.formats.encoding import has_wide_mark, wide_encoding
from feathertune.data.formats.no_data import (
    CONTROL,
    LINE_SUFFIXES,
    SAVE_TABLE,
    SAVE_TEXT,
    refuse_by_beginning,
    refuse_document,
    refused,
)
from feathertune.errors import UserError

SNIFFED = 2**20  # bytes that are looked at, at most
_MAGIC = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"FEA1": "arrow",
    b"\xff\xff\xff\xff": "arrow",  # the stream that `datasets` saves
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "xls",
    b"\x09\x08\x10\x00\x00\x06": "xls",  # a bare stream, of Excel 97 and of Excel 5
    b"\x09\x08\x08\x00\x00\x05": "xls",
}
_MEMBERS = {  # of a zip file -> what it is
    "xl/workbook.xml": "xlsx",
    "xl/workbook.bin": "xlsb",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a presentation",
}
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_BEGINS_JSON = re.compile(r'\{\s*("|$)|\[\s*([\[{"]|$)')
_LINES = 50  # of JSON that are tried


def binary_kind(head: bytes, file: Callable[[], Path | BinaryIO], place: str) -> str | None:
    """The kind of a binary file: parquet, arrow, xlsx, xlsb, ods or xls; None for text.

    Args:
        head: its beginning, of at most SNIFFED bytes.
        file: gives the whole, for kinds whose directory is at the end.
        place: for messages.

    Raises:
        UserError: the file is of a kind that is not read.
    """
    refuse_by_beginning(head, place)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(file(), place)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    start = head[:4096]
    if kind is None and len(CONTROL.findall(start)) * 10 > len(start) and not _is_text(start):
        raise refused("a binary file of an unknown kind", place, SAVE_TABLE)
    return kind


def text_kind(text: str, suffix: str, place: str, *, whole: bool) -> str:
    """The kind of a text file: jsonl, json, values (JSON values one after the other), or text that is no JSON.

    Args:
        text: its decoded beginning.
        suffix: of the file's name, such as '.json'.
        place: for messages.
        whole: whether `text` is the whole file.

    Raises:
        UserError: the file is of a kind that is not read.
    """
    text = text.lstrip("\ufeff \t\r\n")
    refuse_document(text, suffix, place, whole=whole)
    if not text.startswith(("{", "[")):
        return "text"
    return _json_kind(text, suffix, whole=whole) or "text"


def _zip_kind(file: Path | BinaryIO, place: str) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            kind = next((kind for member, kind in _MEMBERS.items() if member in names), None)
            mime = archive.read("mimetype").decode("ascii", "replace").strip() if "mimetype" in names else ""
    except (zipfile.BadZipFile, OSError, RuntimeError):
        raise UserError("the file is a damaged zip archive or workbook", where=place, fix="Get it again.") from None
    if mime.startswith(f"{_OPEN_DOCUMENT}spreadsheet"):
        return "ods"
    if mime.startswith(_OPEN_DOCUMENT):
        kind = "an OpenDocument file without a table"
    if mime == "application/epub+zip":
        kind = "a book (EPUB)"
    if kind in ("xlsx", "xlsb"):
        return kind
    if kind is None:
        fix = "Unpack it, and give the folder or one of its files."
        raise refused("a zip archive of another kind than a workbook", place, fix)
    raise refused(kind, place, SAVE_TEXT)


def _is_text(start: bytes) -> bool:
    """Whether many control characters may be those of a text: of UTF-16 or UTF-32, which have many NUL bytes."""
    zeros = max(start[0::2].count(0), start[1::2].count(0))
    if has_wide_mark(start) or wide_encoding(start) is not None or zeros * 5 > len(start) * 2:
        return True
    return zeros == 0 and "\ufffd" not in start[:-4].decode(errors="replace")


def _json_kind(text: str, suffix: str, *, whole: bool) -> str | None:
    """json, jsonl or values; None if the text is not JSON, although it begins like it."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not whole and len(lines) > 1:
        lines.pop()  # may be cut
    good = [_is_json(line.strip().rstrip(",")) for line in lines[:_LINES]]
    by_name = suffix in LINE_SUFFIXES
    if len(good) > 1 and (good[0] or by_name) and sum(good) * 2 > len(good):
        return "jsonl"
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except RecursionError:
        return "jsonl" if by_name else "json"
    except json.JSONDecodeError as error:
        cut = not whole and (error.pos >= len(text) - 64 or error.msg.startswith("Unterminated"))
        begins = _BEGINS_JSON.match(text) is not None and (suffix == ".json" or error.pos > 200)
        if by_name and (not cut or text[0] == "{"):
            return "jsonl"
        return "json" if cut or begins else None
    rest = text[end:].strip()
    if not rest:
        return "jsonl" if by_name and text[0] == "{" and len(lines) == 1 else "json"
    if rest[0] in "[{":
        return "jsonl" if good[0] else "values"
    return "json" if suffix == ".json" else None


def _is_json(line: str) -> bool:
    if not line.startswith(("{", "[")):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
