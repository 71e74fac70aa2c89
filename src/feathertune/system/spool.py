"""Bytes that are written once and then only read: few stay in memory, many lie in a file that nobody else sees.

The file is a temporary one without a name, in the system's folder for such files (TMPDIR). It is mapped, not read: the
system fetches what is looked at and may drop it again, so that memory need not grow with the data. It vanishes with
the last array that looks into it, and with the process in any case.
"""

from __future__ import annotations

import io
import mmap
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_IN_MEMORY = 8 * 2**20  # bytes


class Spool(io.RawIOBase):
    """A file object to write to; `finish` hands back all that was written, as a read-only buffer."""

    def __init__(self, most_in_memory: int | None = None) -> None:
        super().__init__()
        self._most = MAX_IN_MEMORY if most_in_memory is None else most_in_memory
        self._file = tempfile.SpooledTemporaryFile(max_size=self._most)  # noqa: SIM115  # closed by `close`
        self._size = 0

    def writable(self) -> bool:
        """Yes: that is what it is for."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Append `data`. Raises OSError where the disk is full."""
        count = self._file.write(data)
        self._size += count
        return count

    def finish(self) -> bytes | mmap.mmap:
        """Everything written so far. Nothing can be written afterwards."""
        self._file.flush()
        if self._size <= self._most:
            self._file.seek(0)
            content: bytes | mmap.mmap = self._file.read()
        else:
            content = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
        self.close()
        return content

    def close(self) -> None:
        """Let go of the file; what `finish` gave stays."""
        self._file.close()
        super().close()
