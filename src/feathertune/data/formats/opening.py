"""Opening a file: which kind it is, how it is read, and its rows as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from feathertune.data.formats.arrow_rows import arrow_columns, read_arrow
from feathertune.data.formats.compressed import compression_of, inner_name, open_binary
from feathertune.data.formats.content import Content
from feathertune.data.formats.delimited import empty_file, open_delimited
from feathertune.data.formats.format import FileFormat, FileSettings
from feathertune.data.formats.json_tables import open_document, open_lines
from feathertune.data.formats.kinds import SNIFFED, binary_kind, text_kind
from feathertune.data.formats.lines import without_line_end
from feathertune.data.formats.no_data import check_is_table
from feathertune.data.formats.opened import OpenedFile, Sniffed
from feathertune.data.formats.plain import plain_table
from feathertune.data.formats.sample import Sample, read_sample
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.fasttext import FastText
from feathertune.data.tools.recognizing import recognize
from feathertune.errors import UserError

DATA_SUFFIXES = frozenset(  # the types that can contain labelled data; what a file is shows in its content
    {".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather", ".xlsx", ".xlsb", ".xls", ".ods"}
)
_WORKBOOKS = ("xlsx", "xlsb", "ods", "xls")
_TOOL_LINES = 2000  # by which the tool that wrote them is recognised
_BINARY = ("parquet", "arrow", *_WORKBOOKS)


def open_file(path: Path, settings: FileSettings) -> OpenedFile:
    """Open a file of any kind; what `settings` leave open is found by content.

    Raises:
        UserError: the file is missing, empty or of an unknown kind, or may be read in two ways.
    """
    if not path.is_file():
        raise UserError("there is no such file", where=str(path))
    with open_binary(path) as file:
        head = file.read(SNIFFED + 1)
    head = head[:SNIFFED]
    if not head:
        raise empty_file(path)
    content, name = Content(path), inner_name(path)
    found = FileFormat("text", compression=compression_of(path))
    sniffed = Sniffed(content, name, found, settings)
    kind = settings.format or binary_kind(head, content.file, str(path)) or "text"
    if kind in _BINARY:
        return _open_binary(sniffed, kind)
    sample = read_sample(path, settings.encoding)
    content = Content(path, sample.encoding, sample.mac)
    found = replace(found, encoding=sample.encoding, line_ends="CR" if sample.mac else None)
    return _open_text(Sniffed(content, name, found, settings), kind, sample)


def read_rows(path: Path, names: tuple[str, ...] | None = None) -> Iterator[Row | BadRow]:
    """The rows of a file with one table, in order. `names` are for the columns of a file without a header."""
    return open_file(path, FileSettings()).tables["train"].read(names)


def _open_binary(file: Sniffed, kind: str) -> OpenedFile:
    if kind in _WORKBOOKS:
        from feathertune.data.formats.sheet_tables import open_workbook  # calamine is for workbooks alone

        return open_workbook(file, kind)
    columns = arrow_columns(file.content, kind)
    found = replace(file.format, kind=kind, encoding=None)
    table = file.table(lambda _: read_arrow(file.content, kind), found, columns=columns)
    return OpenedFile({"train": table})


def _open_text(file: Sniffed, kind: str, sample: Sample) -> OpenedFile:
    text = sample.text
    if not text.strip() and sample.whole:
        raise empty_file(file.content.path)
    suffix = Path(file.name).suffix.lower()
    if kind in ("text", "json"):
        forced = kind == "json"
        kind = text_kind(text, ".json" if forced else suffix, file.place, whole=sample.whole)
        kind = "json" if forced and kind != "values" else kind
    if kind == "jsonl":
        return open_lines(file)
    if kind in ("json", "values"):
        return open_document(file, kind, text.lstrip()[:1])
    if kind in ("text", "fasttext"):
        tool = FastText() if kind == "fasttext" else recognize(_lines(sample), ("text",), "txt", file.name)
        if tool is not None:
            return OpenedFile({"train": file.of_tool(plain_table(file), tool)})
    if file.settings.format is None:
        check_is_table(text, suffix, file.place)
    table = None if kind == "txt" else open_delimited(file, sample)
    return OpenedFile({"train": plain_table(file) if table is None else table})


def _lines(sample: Sample) -> list[dict[str, object]]:
    """The first lines as records."""
    return [{"text": without_line_end(line)} for line in sample.lines[:_TOOL_LINES]]
