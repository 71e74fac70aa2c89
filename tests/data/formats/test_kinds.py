"""What a file is shows in its content; what is no data is refused by its true name."""

import gzip
import io
import pickle
import re
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest

from feathertune.data.formats.format import FileSettings
from feathertune.data.formats.kinds import binary_kind, text_kind
from feathertune.data.formats.opening import open_file, read_rows
from feathertune.data.rows import Row
from feathertune.errors import UserError


def database(folder: Path) -> bytes:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("CREATE TABLE reviews (text TEXT)")
    connection.close()
    return (folder / "a.db").read_bytes()


def document(member: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(member, "<x/>")
    return file.getvalue()


def open_document(kind: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


REFUSED = {
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\n", "a PDF document"),
    "HTML": (b"\n<!DOCTYPE html>\n<html><body>Not found</body></html>", "a web page (HTML)"),
    "HTML named xls": (b"<table><tr><td>text</td></tr></table>", "a web page (HTML)"),
    "XML": (b'<?xml version="1.0"?><rss/>', "the file is XML"),
    "Excel 2003": (
        b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
        "an XML spreadsheet of Excel 2003",
    ),
    "pickle": (pickle.dumps([{"text": "a"}]), "a Python pickle"),
    "old pickle": (pickle.dumps({"text": "a"}, protocol=2), "a Python pickle"),
    "numpy": (array(), "a NumPy array"),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture (PNG)"),
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a picture (JPEG)"),
    "pickle of protocol 0": (pickle.dumps({"text": "a"}, protocol=0), "a Python pickle"),
    "Stata 12": (b"\x73\x02\x01\x00\x03\x00" + bytes(100), "a Stata file"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM", "a MATLAB file"),
    "SAS": (bytes(12) + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011") + bytes(90), "a SAS file"),
    "XML without a declaration": (b'<Reviews>\n<Review id="1"><text>good, bad</text></Review>\n</Reviews>\n', "is XML"),
    "SGML": (b'<!DOCTYPE lewis SYSTEM "lewis.dtd">\n<REUTERS TOPICS="YES"><BODY>a</BODY></REUTERS>', "is XML or SGML"),
    "a table within a page": (b"<div>\n<table><tr><td>text</td></tr></table></div>", "a web page (HTML)"),
    "MySQL dump": (b"-- MySQL dump 10.13\nDROP TABLE IF EXISTS `a`;\nCREATE TABLE `a` (`b` text);\n", "an SQL dump"),
    "SQLite dump": (b"BEGIN TRANSACTION;\nCREATE TABLE a (b TEXT);\nINSERT INTO a VALUES('c');\n", "an SQL dump"),
    "ARFF": (b"% reviews\n@relation a\n\n@attribute text string\n\n@data\n'good',yes\n", "an ARFF file"),
    "RTF": (b"{\\rtf1\\ansi text}", "an RTF document"),
    "Word": (document("word/document.xml"), "a Word document"),
    "PowerPoint": (document("ppt/presentation.xml"), "a presentation"),
    "OpenDocument text": (open_document("text"), "an OpenDocument file without a table"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "Run `git lfs pull`"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
    "ORC": (b"ORC\x0a\x03\0\0", "an ORC file"),
    "Avro": (b"Obj\x01\x04\x16avro.schema", "an Avro file"),
    "Markdown": (b"| text | label |\n| --- | :-: |\n| a | x |\n", "a table of Markdown"),
    "random bytes": (np.random.default_rng(0).bytes(5000), "a binary file of an unknown kind"),
    "a blank file": (b"\n \n", "the file is empty"),
    "nothing": (b"", "the file is empty"),
}


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_data_is_refused_by_its_name(tmp_path: Path, case: str, name: str) -> None:
    content, message = REFUSED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_rows(tmp_path / name))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "- text: a fine day\n  label: x\n", "YAML, other than Rasa's training data"),
        ("a.toml", '[[rows]]\ntext = "a, b"\n', "the file is TOML"),
        ("a.xml", "<reviews><text>a</text></reviews>\n", "the file is XML"),
        ("a.sql", "UPDATE r SET l = 'x';\n", "an SQL script"),
        ("a.json", '// of May\n[{"text": "a", "label": "x"}]\n', "a comment, which JSON has not"),
        ("a.jsonl", '/* of May */\n{"text": "a", "label": "x"}\n', "a comment, which JSON has not"),
    ],
)
def test_what_a_name_and_a_beginning_show_is_refused_unless_the_kind_is_set(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        open_file(tmp_path / name, FileSettings())
    assert list(open_file(tmp_path / name, FileSettings(format="txt")).tables["train"].read(None))


def test_a_database_is_refused_with_the_way_to_export_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(database(tmp_path))
    with pytest.raises(UserError, match="an SQLite database") as caught:
        open_file(tmp_path / "a.csv", FileSettings())
    assert "sqlite3 -header -csv" in str(caught.value)


@pytest.mark.parametrize("start", ["ORC", "ID3", "GIF8", "BM", "PK", "RDX", "PAR", "%PDF", "$FL", "Rar!"])
def test_a_text_that_begins_like_another_kind_is_text(tmp_path: Path, start: str) -> None:
    (tmp_path / "a.csv").write_text(f"{start},label\n{start} text,x\n")
    assert [row.fields for row in read_rows(tmp_path / "a.csv") if isinstance(row, Row)] == [
        {start: f"{start} text", "label": "x"}
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings_are_text(encoding: str) -> None:
    assert binary_kind("text\tlabel\na fine day\tyes\n".encode(encoding), Path, "a.tsv") is None


@pytest.mark.parametrize(
    ("text", "suffix", "kind"),
    [
        ('{"a": 1}\n{"a": 2}\n', ".json", "jsonl"),
        ('{"a": 1}\n{"a": 2}\n', ".csv", "jsonl"),
        ('{"a": 1}', ".jsonl", "jsonl"),
        ('{"a": 1}', ".json", "json"),
        ('[{"a": 1},\n{"a": 2}]', ".jsonl", "json"),
        ('["a", "x"]\n["b", "y"]\n', ".jsonl", "jsonl"),
        ('{\n "a": 1\n}\n{\n "a": 2\n}\n', ".json", "values"),
        ('{"a": \n{"a": 2}\n', ".jsonl", "jsonl"),
        ("text,label\na,x\n", ".json", "text"),
        ("[1] a note,x\n[2] another,y\n", ".csv", "text"),
        ("{name} is late,x\n{name} is here,y\n", ".csv", "text"),
        ("(a) text", ".txt", "text"),
    ],
)
def test_json_is_told_from_lines_and_from_other_text(text: str, suffix: str, kind: str) -> None:
    assert text_kind(text, suffix, "a", whole=True) == kind


def test_only_the_beginning_decides(tmp_path: Path) -> None:
    first = '[{"text": "' + "long " * 300_000
    assert text_kind(first[: 2**20], ".txt", "a", whole=False) == "json"


def test_a_kind_that_is_set_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('{"text": "a, b"}\n')
    assert len(list(open_file(tmp_path / "a.csv", FileSettings(format="txt")).tables["train"].read(None))) == 1
    with pytest.raises(UserError, match="not a readable Parquet file"):
        open_file(tmp_path / "a.csv", FileSettings(format="parquet"))


@pytest.mark.parametrize(
    "content", ['[{"text": "a", "label": 1}]', '{"text": "a", "label": 1}\n{"text": "a", "label": 1}']
)
def test_compressed_json_is_known_by_what_is_in_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(content.encode()))
    table = open_file(tmp_path / "a.gz", FileSettings()).tables["train"]
    assert {str(row.fields) for row in table.read(None) if isinstance(row, Row)} == {"{'text': 'a', 'label': 1}"}
    assert table.format is not None
    assert table.format.compression == "gz"


@pytest.mark.parametrize(
    "text",
    [
        "<p><b>Good</b> place</p>\n<p><i>Bad</i> place</p>\n",
        "<p><b>Good</b> place</p>,yes\n<p>Bad place</p>,no\n",
        "SELECT a FROM b;\tread\nINSERT INTO b VALUES (1);\twrite\n",
        "-- a remark\tno\nDROP TABLE b;\tyes\n",
    ],
)
def test_texts_with_marks_or_queries_are_texts(text: str) -> None:
    assert text_kind(text, ".csv", "a.csv", whole=True) == "text"
