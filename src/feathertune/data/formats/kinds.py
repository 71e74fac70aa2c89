"""The kind of a file, by its content: its first bytes, or how its first lines read. A name is a hint at most.

What cannot hold rows of text (pictures, pages, databases, models) is refused by its true name, with what to do.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from feathertune.data.formats.encoding import has_wide_mark, wide_encoding
from feathertune.errors import UserError

SNIFFED = 2**20  # bytes that are looked at, at most
_CONVERT = "Save its table as csv, jsonl or parquet."
_TEXT = "Save its text as csv, jsonl or txt."
_PICTURE = "Only text can be classified."
_LABELLED = "Give the file of labelled texts."
_DATA_FRAME = "Write its data frame with write.csv."
_PICKLED = "Save its table as parquet or csv."
_STATA = "Convert it: pandas.read_stata('FILE.dta').to_csv('FILE.csv', index=False)."
_MAGIC = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"FEA1": "arrow",
    b"\xff\xff\xff\xff": "arrow",  # the stream that `datasets` saves
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "xls",
    b"\x09\x08\x10\x00\x00\x06": "xls",  # a bare stream, of Excel 97 and of Excel 5
    b"\x09\x08\x08\x00\x00\x05": "xls",
}
_REFUSED_TEXT = {
    b"%PDF-": ("a PDF document", _TEXT),
    b"{\\rtf": ("an RTF document", _TEXT),
    b"<stata_dta>": ("a Stata file", _STATA),
    b"MATLAB 5.0 MAT-file": ("a MATLAB file", "Write its table with writetable(TABLE, 'FILE.csv')."),
    b"(dp0\n": ("a Python pickle (which may run code when it is read)", _PICKLED),
    b"(lp0\n": ("a Python pickle (which may run code when it is read)", _PICKLED),
    b"ccopy_reg\n": ("a Python pickle (which may run code when it is read)", _PICKLED),
}
_REFUSED_BINARY = {  # some are short enough to begin a text as well, which has no control characters
    b"SQLite format 3\0": ("an SQLite database", "Export its table: sqlite3 -header -csv FILE 'SELECT * FROM TABLE'."),
    b"\x93NUMPY": ("a NumPy array", _CONVERT),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", _CONVERT),
    b"ORC": ("an ORC file", "Save it as parquet: pyarrow.orc.read_table, then pyarrow.parquet.write_table."),
    b"Obj\x01": ("an Avro file", _CONVERT),
    b"\x89PNG": ("a picture (PNG)", _PICTURE),
    b"\xff\xd8\xff": ("a picture (JPEG)", _PICTURE),
    b"GIF8": ("a picture (GIF)", _PICTURE),
    b"BM": ("a picture (BMP)", _PICTURE),
    b"RIFF": ("a sound or a picture (RIFF)", _PICTURE),
    b"ID3": ("a sound (MP3)", _PICTURE),
    b"OggS": ("a sound (Ogg)", _PICTURE),
    b"$FL": ("an SPSS file", _CONVERT),
    b"RDX": ("an R data file", _DATA_FRAME),
    b"X\n\0\0\0": ("an R data file", _DATA_FRAME),
    b"GGUF": ("a model (GGUF)", _LABELLED),
    b"\x7fELF": ("a program", _LABELLED),
    b"\0" * 12 + b"\xc2\xea\x81\x60": (
        "a SAS file",
        "Convert it: pandas.read_sas('FILE.sas7bdat', encoding='utf-8').to_csv('FILE.csv', index=False).",
    ),
}
_PICKLE = re.compile(rb"\x80[\x02-\x05](?:\x95.{8})?[\]}(\x8cc]", re.DOTALL)
# Stata 5 to 12: the release, the byte order, a file type of 1, a zero.
_OLD_STATA = re.compile(rb"[\x69\x6c\x6e\x6f\x71\x72\x73][\x01\x02]\x01\x00", re.DOTALL)
_LFS = b"version https://git-lfs.github.com/spec/"
_MEMBERS = {  # of a zip file -> what it is
    "xl/workbook.xml": "xlsx",
    "xl/workbook.bin": "xlsb",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a presentation",
}
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_HTML = re.compile(r"(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body|table)\b", re.IGNORECASE | re.DOTALL)
_XML = re.compile(r"<\?xml\b|<!DOCTYPE\s+\w+\s+(?:SYSTEM|PUBLIC|\[)", re.IGNORECASE)
_ELEMENT = re.compile(r"<([A-Za-z][\w:.-]*)(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*>\s*<[A-Za-z]")
_SQL = re.compile(r"(?:--|/\*|BEGIN TRANSACTION;|PRAGMA |SET |DROP TABLE|CREATE TABLE|INSERT INTO)", re.IGNORECASE)
_DUMPS = (
    "-- MySQL dump",
    "-- MariaDB dump",
    "-- phpMyAdmin",
    "--\n-- PostgreSQL",
    "PRAGMA foreign_keys",
    "BEGIN TRANSACTION;",
)
_STATEMENT = re.compile(r"^\s*(?:CREATE\s+TABLE|INSERT\s+INTO|COPY)\s+[\w`\"\[.]+", re.IGNORECASE | re.MULTILINE)
_ARFF = re.compile(r"(?:%[^\n]*\n|\s)*@relation\s", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_BEGINS_JSON = re.compile(r'\{\s*("|$)|\[\s*([\[{"]|$)')
_PYTHON_DICT = re.compile(r"[\[(]?\s*\{\s*u?'[^'\n]*'\s*:")
_ROWS_AS_CSV = "Save its texts and labels as csv or jsonl."
_MARKDOWN_TABLE = re.compile(r"\|[^\n]*\|\s*\n\|(?:\s*:?-+:?\s*\|)+\s*\n")
_NAMED = {  # a text with this suffix is no table, whatever separators it has, unless it is a tool's export
    ".yaml": ("YAML, other than Rasa's training data", _ROWS_AS_CSV),
    ".yml": ("YAML, other than Rasa's training data", _ROWS_AS_CSV),
    ".sql": ("an SQL script", "Run it in a database, and save the table as csv."),
    ".toml": ("TOML", _ROWS_AS_CSV),
    ".xml": ("XML", _ROWS_AS_CSV),
}
_LINE_SUFFIXES = (".jsonl", ".ndjson", ".jl")
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
    if head.startswith(_LFS):
        fix = "Run `git lfs pull` in its folder."
        raise UserError("the file is a Git LFS pointer, not the data itself", where=place, fix=fix)
    known = _REFUSED_TEXT | (_REFUSED_BINARY if _CONTROL.search(head[:512]) else {})
    for magic, (name, fix) in known.items():
        if head.startswith(magic):
            raise refused(name, place, fix)
    if _PICKLE.match(head):
        raise refused("a Python pickle (which may run code when it is read)", place, _PICKLED)
    if _OLD_STATA.match(head):
        raise refused("a Stata file", place, _STATA)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(file(), place)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    start = head[:4096]
    if kind is None and len(_CONTROL.findall(start)) * 10 > len(start) and not _is_text(start):
        raise refused("a binary file of an unknown kind", place, _CONVERT)
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
    if _HTML.match(text):
        excel = suffix in (".xls", ".xlsx")
        raise refused(
            "a web page (HTML)", place, "Open it with a spreadsheet program and save it as csv." if excel else _TEXT
        )
    if _is_xml(text, whole=whole):
        if "<table" in text.casefold() and "<td" in text.casefold() and not _XML.match(text):
            raise refused("a web page (HTML)", place, "Open it with a spreadsheet program and save it as csv.")
        if "urn:schemas-microsoft-com:office:spreadsheet" in text[:5000]:
            raise refused("an XML spreadsheet of Excel 2003", place, "Save it as xlsx or csv.")
        raise refused(
            "XML or SGML" if text.startswith("<!") else "XML", place, "Save its texts and labels as csv or jsonl."
        )
    if (suffix == ".sql" or text.startswith(_DUMPS)) and _SQL.match(text) and _STATEMENT.search(text):
        raise refused("an SQL dump", place, "Load it into a database, and export the table as csv.")
    if _ARFF.match(text):
        fix = "Convert it: open it in Weka, and save it as csv."
        raise refused("an ARFF file of Weka", place, fix)
    if not text.startswith(("{", "[")):
        return "text"
    if suffix in ("", ".json", *_LINE_SUFFIXES) and _PYTHON_DICT.match(text):
        raise UserError(
            "the file is written as Python prints objects (with ' in place of \"), which is not JSON",
            where=place,
            fix="Write it with json.dump.",
        )
    return _json_kind(text, suffix, whole=whole) or "text"


def check_is_table(text: str, suffix: str, place: str) -> None:
    """Raise a UserError for a text that is neither lines nor a table: a script, a document, JSON with a comment.

    Args:
        text: its decoded beginning, without JSON.
        suffix: of the file's name, such as '.yaml'.
        place: for messages.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if suffix in (".json", *_LINE_SUFFIXES) and text.startswith(("//", "/*")):
        raise UserError("the file begins with a comment, which JSON has not", where=place, fix="Remove its comments.")
    known = ("a table of Markdown", _ROWS_AS_CSV) if _MARKDOWN_TABLE.match(text) else _NAMED.get(suffix)
    if known is not None:
        raise refused(known[0], place, known[1])


def refused(name: str, place: str, fix: str) -> UserError:
    """The error for a file of a kind that is not read."""
    return UserError(f"the file is {name}, which cannot be read", where=place, fix=fix)


def _is_xml(text: str, *, whole: bool) -> bool:
    """Whether a text is XML or SGML: by its declaration, or as an element around others that ends with the file."""
    if _XML.match(text):
        return True
    root = _ELEMENT.match(text)
    return root is not None and _surrounds(text, f"</{root[1]}>", whole=whole)


def _surrounds(text: str, end: str, *, whole: bool) -> bool:
    """Whether the element that begins a text ends with it: a list of marked texts ends many of them."""
    return text.count(end) == 1 and text.rstrip().endswith(end) if whole else end not in text


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
    raise refused(kind, place, _TEXT)


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
    by_name = suffix in _LINE_SUFFIXES
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
