"""Files that hold no rows of text, such as pictures, pages, databases, scripts and models: refused by their true name.

Each is known by how it begins, and a few by their suffix; the message says what to do instead.
"""

from __future__ import annotations

import re

from feathertune.errors import UserError

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
LINE_SUFFIXES = (".jsonl", ".ndjson", ".jl")
SAVE_TABLE = "Save its table as csv, jsonl or parquet."
SAVE_TEXT = "Save its text as csv, jsonl or txt."
_PICTURE = "Only text can be classified."
_LABELLED = "Give the file of labelled texts."
_DATA_FRAME = "Write its data frame with write.csv."
_PICKLED = "Save its table as parquet or csv."
_STATA = "Convert it: pandas.read_stata('FILE.dta').to_csv('FILE.csv', index=False)."
_REFUSED_TEXT = {
    b"%PDF-": ("a PDF document", SAVE_TEXT),
    b"{\\rtf": ("an RTF document", SAVE_TEXT),
    b"<stata_dta>": ("a Stata file", _STATA),
    b"MATLAB 5.0 MAT-file": ("a MATLAB file", "Write its table with writetable(TABLE, 'FILE.csv')."),
    b"(dp0\n": ("a Python pickle (which may run code when it is read)", _PICKLED),
    b"(lp0\n": ("a Python pickle (which may run code when it is read)", _PICKLED),
    b"ccopy_reg\n": ("a Python pickle (which may run code when it is read)", _PICKLED),
}
_REFUSED_BINARY = {  # some are short enough to begin a text as well, which has no control characters
    b"SQLite format 3\0": ("an SQLite database", "Export its table: sqlite3 -header -csv FILE 'SELECT * FROM TABLE'."),
    b"\x93NUMPY": ("a NumPy array", SAVE_TABLE),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", SAVE_TABLE),
    b"ORC": ("an ORC file", "Save it as parquet: pyarrow.orc.read_table, then pyarrow.parquet.write_table."),
    b"Obj\x01": ("an Avro file", SAVE_TABLE),
    b"\x89PNG": ("a picture (PNG)", _PICTURE),
    b"\xff\xd8\xff": ("a picture (JPEG)", _PICTURE),
    b"GIF8": ("a picture (GIF)", _PICTURE),
    b"BM": ("a picture (BMP)", _PICTURE),
    b"RIFF": ("a sound or a picture (RIFF)", _PICTURE),
    b"ID3": ("a sound (MP3)", _PICTURE),
    b"OggS": ("a sound (Ogg)", _PICTURE),
    b"$FL": ("an SPSS file", SAVE_TABLE),
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


def refuse_by_beginning(head: bytes, place: str) -> None:
    """Raise a UserError for a file whose first bytes are those of no data; `place` is for the message."""
    if head.startswith(_LFS):
        fix = "Run `git lfs pull` in its folder."
        raise UserError("the file is a Git LFS pointer, not the data itself", where=place, fix=fix)
    known = _REFUSED_TEXT | (_REFUSED_BINARY if CONTROL.search(head[:512]) else {})
    for magic, (name, fix) in known.items():
        if head.startswith(magic):
            raise refused(name, place, fix)
    if _PICKLE.match(head):
        raise refused("a Python pickle (which may run code when it is read)", place, _PICKLED)
    if _OLD_STATA.match(head):
        raise refused("a Stata file", place, _STATA)


def refuse_document(text: str, suffix: str, place: str, *, whole: bool) -> None:
    """Raise a UserError for a web page, XML, a dump of SQL, ARFF, or objects as Python prints them.

    Args:
        text: its decoded beginning, without white space before it.
        suffix: of the file's name, such as '.json'.
        place: for messages.
        whole: whether `text` is the whole file.
    """
    if _HTML.match(text):
        excel = suffix in (".xls", ".xlsx")
        raise refused(
            "a web page (HTML)", place, "Open it with a spreadsheet program and save it as csv." if excel else SAVE_TEXT
        )
    if _is_xml(text, whole=whole):
        if "<table" in text.casefold() and "<td" in text.casefold() and not _XML.match(text):
            raise refused("a web page (HTML)", place, "Open it with a spreadsheet program and save it as csv.")
        if "urn:schemas-microsoft-com:office:spreadsheet" in text[:5000]:
            raise refused("an XML spreadsheet of Excel 2003", place, "Save it as xlsx or csv.")
        raise refused("XML or SGML" if text.startswith("<!") else "XML", place, _ROWS_AS_CSV)
    if (suffix == ".sql" or text.startswith(_DUMPS)) and _SQL.match(text) and _STATEMENT.search(text):
        raise refused("an SQL dump", place, "Load it into a database, and export the table as csv.")
    if _ARFF.match(text):
        fix = "Convert it: open it in Weka, and save it as csv."
        raise refused("an ARFF file of Weka", place, fix)
    if suffix in ("", ".json", *LINE_SUFFIXES) and _PYTHON_DICT.match(text):
        raise UserError(
            "the file is written as Python prints objects (with ' in place of \"), which is not JSON",
            where=place,
            fix="Write it with json.dump.",
        )


def check_is_table(text: str, suffix: str, place: str) -> None:
    """Raise a UserError for a text that is neither lines nor a table: a script, a document, JSON with a comment.

    Args:
        text: its decoded beginning, without JSON.
        suffix: of the file's name, such as '.yaml'.
        place: for messages.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if suffix in (".json", *LINE_SUFFIXES) and text.startswith(("//", "/*")):
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
