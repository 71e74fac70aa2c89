"""Reading a UTF-8 text file line by line, strictly: what is wrong with a line is noted, not repaired."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from feathertune.errors import UserError

MAX_LINE = 64 * 2**20  # bytes; a longer line means another kind of file, and would have to fit in memory
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS_UTF_8 = "Save the file as UTF-8."


class Problem(NamedTuple):
    """What is wrong with a line, and how to fix it if the whole file has to be saved again."""

    reason: str
    fix: str | None = None


class Lines:
    r"""The lines of a UTF-8 file, with their '\n'. Counts them and notes what is wrong with them.

    A line that is not UTF-8 or contains a NUL is returned nevertheless, so that the csv module keeps track of the rows.
    `take_problem` returns the first problem since the last call.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.number = 0
        self._file, self._path = file, path
        self._problem: Problem | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            _refuse_other_encodings(raw, self._path)
            raw = raw.removeprefix(_BYTE_ORDER_MARK)
        if len(raw) > MAX_LINE:
            raise UserError(
                f"the line is longer than {MAX_LINE:,} bytes",
                where=f"{self._path}:{self.number}",
                fix="Is this a text file with one row per line?",
            )
        if b"\0" in raw:
            self._note(f"a NUL byte at position {raw.index(0) + 1} of line {self.number}")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self._note(f"not valid UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}")
            return raw.decode(errors="replace")

    def take_problem(self) -> Problem | None:
        """The first problem with the lines read since the last call, or None."""
        problem, self._problem = self._problem, None
        return problem

    def _note(self, reason: str) -> None:
        self._problem = self._problem or Problem(reason, _SAVE_AS_UTF_8)


def without_line_end(line: str) -> str:
    r"""The line without its '\n' or '\r\n'."""
    return line[:-1].removesuffix("\r") if line.endswith("\n") else line


def _refuse_other_encodings(first: bytes, path: Path) -> None:
    r"""Refuse UTF-16 files, and files whose lines end in '\r': their first line, `first`, is the whole file."""
    if first.startswith(_UTF_16_MARKS):
        raise UserError("the file is UTF-16 text, and only UTF-8 is read", where=str(path), fix=_SAVE_AS_UTF_8)
    if not first.endswith(b"\n") and b"\r" in first.rstrip(b"\r"):
        raise UserError(
            r"the file is a single line: its lines end with carriage returns ('\r') instead of newlines ('\n')",
            where=str(path),
            fix="Save the file with the line ends of Unix or Windows.",
        )
