"""`predict --input -`: one text a line, or JSON lines, predicted as they come; other kinds once all of it is there.

Which one follows from the beginning: a line that is a JSON object, bytes that are no UTF-8 text or an array, or
a header with the column of texts. Lines are read as they are, quotes and separators included.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from feathertune.data.columns import text_columns
from feathertune.data.formats.content import Content
from feathertune.data.formats.format import FileFormat, FileSettings, Table
from feathertune.data.formats.json_rows import Form, flat_rows, line_rows
from feathertune.data.formats.lines import Lines, without_line_end
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from feathertune.serving.inputs import Example, Input, input_of, open_input

NAME = "stdin"  # in places: stdin:12
_READ = 2**16  # bytes at a time, as much as a pipe holds
_STREAMED = ("txt", "jsonl")
_SEPARATORS = ",\t;|"


@contextmanager
def open_stdin(
    file: BinaryIO, settings: FileSettings, text_column: str | None, trained: DataSection, *, whole: bool
) -> Iterator[Input]:
    """Standard input as an input.

    Args:
        file: standard input, in bytes.
        settings: what the user set about how it is read.
        text_column: see `open_input`.
        trained: see `open_input`.
        whole: whether it must be there as a whole, so that it can be read repeatedly.

    Raises:
        UserError: it is empty, or as in `open_input`.
    """
    stream = _Arriving(file)
    head = stream.first_lines()
    if not head:
        raise UserError("standard input is empty", where="--input -", fix="Give one text a line, or JSON lines.")
    alone = settings == FileSettings(format=settings.format)  # what is set of other kinds, `open_input` obeys
    kind = settings.format or (_kind(head, text_column, trained) if alone else None)
    if whole or kind not in _STREAMED or not alone:
        with tempfile.TemporaryDirectory(prefix="feathertune-") as folder:
            path = Path(folder) / (NAME if kind is None else f"{NAME}.{kind}")
            with path.open("wb") as copy:
                shutil.copyfileobj(cast("BinaryIO", stream), copy, _READ)
            opened = _copied(path, replace(settings, format=kind), text_column, trained)
            if settings.format is None and kind is not None:
                opened.notes.insert(0, _note(kind))
            yield opened
        return
    rows = (
        flat_rows(line_rows(_Content(Path(NAME), stream=stream), Form(), None))
        if kind == "jsonl"
        else _line_rows(stream)
    )
    first = [row for row in (next(rows, None),) if row is not None]
    reads = iter([iter(first), chain(first, rows)])  # to find the column of texts, and to predict
    table = Table(NAME, NAME, lambda _: next(reads), fixed_columns=kind == "txt", format=FileFormat(kind))
    notes = [] if settings.format is not None else [_note(kind)]
    yield input_of(NAME, {"train": table}, notes, text_column, trained, lambda: stream.waits)


def _kind(head: bytes, text_column: str | None, trained: DataSection) -> str | None:
    """The kind of what begins so: jsonl, or txt (one text a line); None for what is found as in a file."""
    first = head.strip().split(b"\n", 1)[0]
    try:
        line = first.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    if "\0" in line or line.startswith("__label__"):
        return None
    if line == "[" or line.startswith(("{", "[{", "[[", '["')):
        return "jsonl" if line.startswith("{") and _is_object(line) else None
    texts = {name.casefold() for name in ("text", *text_columns(trained), *((text_column,) if text_column else ()))}
    for separator in _SEPARATORS:
        cells = [cell.strip().strip('"').casefold() for cell in line.split(separator)]
        if len(cells) > 1 and texts.intersection(cells):
            return None
    return "txt"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _line_rows(stream: _Arriving) -> Iterator[Row | BadRow]:
    lines = Lines(cast("BinaryIO", stream), Path(NAME))
    for line in lines:
        place, problem = f"{NAME}:{lines.number}", lines.take_problem()
        if problem is not None:
            yield BadRow(place, problem.reason, problem.fix)
        else:
            yield Row(place, lines.number, {"text": without_line_end(line)})


@dataclass(frozen=True)
class _Content(Content):
    """Standard input as the content of a file, which can be read once, line by line."""

    stream: _Arriving | None = None

    @contextmanager
    def lines(self) -> Iterator[Lines]:
        yield Lines(cast("BinaryIO", self.stream), self.path)


def _note(kind: str) -> str:
    return f"standard input is read as {'JSON lines' if kind == 'jsonl' else 'one text a line'}"


def _copied(path: Path, settings: FileSettings, text_column: str | None, trained: DataSection) -> Input:
    """The input that was copied to a file, under its own name in all places."""

    def named(text: str) -> str:
        return text.replace(str(path), NAME).replace(path.name, NAME)

    @contextmanager
    def placed() -> Iterator[None]:
        try:
            yield
        except UserError as error:
            where = None if error.where is None else named(error.where)
            raise UserError(named(error.what), where=where, fix=error.fix) from None

    with placed():
        opened = open_input(path, settings, text_column, trained)

    def read() -> Iterator[Example]:
        with placed():
            for one in opened.read():
                yield one._replace(place=named(one.place))

    return replace(opened, place=NAME, read=read, notes=[named(note) for note in opened.notes])


class _Arriving:
    """A stream of bytes that knows whether a whole line is there already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer, self._at = b"", 0

    @property
    def waits(self) -> bool:
        """Whether the next line must be waited for."""
        return self._buffer.find(b"\n", self._at) < 0

    def first_lines(self) -> bytes:
        """What is there once the first line that is not empty is, or the end; it remains to be read."""
        while not self._buffer.strip() or b"\n" not in self._buffer.lstrip():
            if not self._more():
                break
        return self._buffer

    def readline(self, limit: int) -> bytes:
        """The next line with its end, or `limit` bytes of it; empty at the end."""
        searched = self._at
        while (end := self._buffer.find(b"\n", searched) + 1) == 0:
            searched = len(self._buffer) - self._at
            if searched >= limit or not self._more():
                end = len(self._buffer)
                break
        return self._take(min(end, self._at + limit))

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end."""
        if self._at == len(self._buffer):
            self._more()
        return self._take(min(len(self._buffer), self._at + size))

    def _take(self, end: int) -> bytes:
        taken = self._buffer[self._at : end]
        self._at = end
        return taken

    def _more(self) -> bool:
        """Wait for more; False at the end."""
        more = self._file.read1(_READ)  # type: ignore[attr-defined]  # what has come, instead of waiting for _READ bytes
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)
