"""A file's content as the readers want it: bytes, characters or lines, decompressed and decoded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import BinaryIO, TextIO

from feathertune.data.formats.compressed import compression_of, open_binary
from feathertune.data.formats.lines import Lines
from feathertune.system.spool import Spool

_PIECE = 2**20  # bytes


@dataclass(frozen=True)
class Content:
    """A file that may be compressed, and the encoding of its text."""

    path: Path
    encoding: str = "utf-8"
    mac: bool = False

    @contextmanager
    def characters(self) -> Iterator[TextIO]:
        r"""The text with its line ends, without a byte order mark. A byte 0xNN of another encoding is '\udcNN'."""
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        with open_binary(self.path) as file:
            yield io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")

    @contextmanager
    def lines(self) -> Iterator[Lines]:
        """The lines, which `Lines` checks."""
        with open_binary(self.path) as file:
            yield Lines(file, self.path, self.encoding, mac=self.mac)

    def file(self) -> Path | BinaryIO:
        """The file for readers that seek: its path, or the decompressed bytes in memory."""
        unpacked = self.unpacked()
        return self.path if unpacked is None else io.BytesIO(unpacked)

    def unpacked(self) -> bytes | mmap | None:
        """The decompressed bytes, in a temporary file if they are many; None if the file is not compressed."""
        if compression_of(self.path) is None:
            return None
        spool = Spool()
        with open_binary(self.path) as file:
            while piece := file.read(_PIECE):
                spool.write(piece)
        return spool.finish()
