"""Reading a text file line by line, strictly: what is wrong with a line is noted, not repaired."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from feathertune.data.formats.encoding import encoding_title
from feathertune.errors import UserError

MAX_LINE = 64 * 2**20  # bytes; a longer line means another kind of file, and would have to fit in memory
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WRONG = "\udcff"  # stands for bytes that are not of the encoding, while a line is checked
_MARKED = "feathertune.marked"  # the handler that puts it there: U+FFFD may be in the text itself
codecs.register_error(_MARKED, lambda error: (_WRONG, error.end if isinstance(error, UnicodeDecodeError) else 0))
WAYS_OUT = (
    "Leave such rows out, data.on_bad_row=skip, or name the encoding if it is another, for example "
    "data.encoding=windows-1252."
)
_QUOTED = re.compile(r'"[^"]*"')


class Problem(NamedTuple):
    """What is wrong with a line, and how to fix it if that is another way than for other bad rows."""

    reason: str
    fix: str | None = None


class Lines:
    r"""The lines of a text file, with their '\n'. Counts them and notes what is wrong with them.

    A line with bytes that are not of the encoding, or with a NUL, is returned nevertheless, so that the csv module
    keeps track of the rows. `take_problem` returns the first problem since the last call.
    """

    def __init__(self, file: BinaryIO, path: Path, encoding: str = "utf-8", *, mac: bool = False) -> None:
        r"""`mac`: lines end with '\r' alone, as on a Macintosh before 2001."""
        self.number = 0
        self._path, self._encoding = path, encoding
        self._problem: Problem | None = None
        self._next: Callable[[], str] = self._decoded
        if encoding == "utf-8" and not mac:
            self._file = file
            self._next = self._utf_8
        else:
            utf_8 = "utf-8-sig" if encoding == "utf-8" else encoding
            self._text = io.TextIOWrapper(file, utf_8, errors=_MARKED, newline="\r" if mac else "\n")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return self._next()

    def take_problem(self) -> Problem | None:
        """The first problem with the lines read since the last call, or None."""
        problem, self._problem = self._problem, None
        return problem

    def _utf_8(self) -> str:
        raw = self._file.readline(MAX_LINE + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            raw = raw.removeprefix(_BYTE_ORDER_MARK)
        if len(raw) > MAX_LINE:
            raise self._too_long()
        if b"\0" in raw:
            self._note_nul(raw.index(0))
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            reason = f"not valid UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}"
            self._note(reason, WAYS_OUT)
            return raw.decode(errors="replace")

    def _decoded(self) -> str:
        line = self._text.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = line.removeprefix("\ufeff")
        if len(line) > MAX_LINE:
            raise self._too_long()
        if "\0" in line:
            self._note_nul(line.index("\0"))
        if _WRONG in line:
            position = line.index(_WRONG) + 1
            line = line.replace(_WRONG, "\ufffd")
            self._note(f"not valid {encoding_title(self._encoding)}, at position {position}", WAYS_OUT)
        return line[:-1] + "\n" if line.endswith("\r") else line

    def _too_long(self) -> UserError:
        return UserError(
            f"the line is longer than {MAX_LINE:,} bytes",
            where=f"{self._path}:{self.number}",
            fix="Is this a text file with one row per line?",
        )

    def _note_nul(self, index: int) -> None:
        self._note(f"a NUL byte at position {index + 1} of line {self.number}", None)

    def _note(self, reason: str, fix: str | None) -> None:
        self._problem = self._problem or Problem(reason, fix)


def without_line_end(line: str) -> str:
    r"""The line without its '\n' or '\r\n'."""
    return line[:-1].removesuffix("\r") if line.endswith("\n") else line


def has_mac_lines(head: str) -> bool:
    r"""Whether the lines of a text end with '\r' alone; within quotes they may end with '\n', as Excel wrote them."""
    if "\r" not in head or ("\n" in head and '"' not in head):
        return False
    outside = _QUOTED.sub("", head) if "\n" in head else head
    return "\r" in outside.rstrip("\r") and "\n" not in outside
