"""Bytes that are written once and then only read: small ones stay in memory, large ones go to a temporary file.

The file has no name and lies in the system's folder for temporary files (TMPDIR). It is memory-mapped: the system loads
the pages that are used and may drop them again, so memory does not grow with the data. The file is gone with the last
array that uses it, or with the process.
"""

from __future__ import annotations

import io
import mmap
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_IN_MEMORY = 2**20  # bytes


class Spool(io.RawIOBase):
    """A file object to write to; `finish` returns everything written, as a read-only buffer."""

    def __init__(self, max_in_memory: int | None = None) -> None:
        super().__init__()
        self._max = MAX_IN_MEMORY if max_in_memory is None else max_in_memory
        self._file = tempfile.SpooledTemporaryFile(max_size=self._max)  # noqa: SIM115  # closed by `close`
        self._size = 0

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Append `data`. Raises OSError if the disk is full."""
        count = self._file.write(data)
        self._size += count
        return count

    def finish(self) -> bytes | mmap.mmap:
        """Everything written so far. Nothing can be written afterwards."""
        self._file.flush()
        if self._size <= self._max:
            self._file.seek(0)
            content: bytes | mmap.mmap = self._file.read()
        else:
            content = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
        self.close()
        return content

    def close(self) -> None:
        """Close the file; the buffer that `finish` returned stays valid."""
        self._file.close()
        super().close()
