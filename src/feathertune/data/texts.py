"""The texts of a split, written while they are read to an Arrow table that is memory-mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feathertune.system.spool import Spool

CHUNK_TEXTS = 8192
CHUNK_CHARACTERS = 2**24  # limit of a chunk in characters; Arrow's strings allow 2 GiB per chunk
MAX_JOINED = 2**28  # bytes of texts that `take` may join in memory
_SCHEMA = pa.schema([pa.field("text", pa.string())])


class TextWriter:
    """Collects texts, one by one or as columns; `finish` returns them as one Arrow column."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._stream = pa.ipc.new_stream(pa.PythonFile(self._spool, mode="w"), _SCHEMA)
        self._waiting: list[str] = []
        self._characters = 0

    def add(self, text: str) -> None:
        """Append one text."""
        self._waiting.append(text)
        self._characters += len(text)
        if len(self._waiting) == CHUNK_TEXTS or self._characters >= CHUNK_CHARACTERS:
            self._flush()

    def add_column(self, texts: pa.ChunkedArray) -> None:
        """Append a column of texts."""
        self._flush()
        for chunk in texts.chunks:
            self._stream.write_batch(pa.record_batch([chunk], schema=_SCHEMA))

    def finish(self) -> pa.ChunkedArray:
        """All texts, in chunks of at most CHUNK_TEXTS if they were added one by one."""
        self._flush()
        self._stream.close()
        return pa.ipc.open_stream(pa.py_buffer(self._spool.finish())).read_all().column(0)

    def _flush(self) -> None:
        if self._waiting:
            self._stream.write_batch(pa.record_batch([pa.array(self._waiting, pa.string())], schema=_SCHEMA))
            self._waiting, self._characters = [], 0


class StoredTexts(Sequence[str]):
    """An Arrow column of N texts as a sequence of Python strings, which are created on access."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> StoredTexts: ...
    def __getitem__(self, index: int | slice) -> str | StoredTexts:
        if isinstance(index, slice):
            return StoredTexts(self._column[index])
        return str(self._column[index].as_py())

    def __iter__(self) -> Iterator[str]:
        return iterate(self._column)


def iterate(texts: pa.ChunkedArray) -> Iterator[str]:
    """The texts as Python strings, of which only a few thousand exist at a time."""
    for chunk in texts.chunks:
        for start in range(0, len(chunk), CHUNK_TEXTS):
            yield from chunk.slice(start, CHUNK_TEXTS).to_pylist()


def take(texts: pa.ChunkedArray, indices: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    """The texts at `indices` ([M]), in that order; fast if the indices are roughly ascending.

    Arrow's own `take` joins all chunks in memory. Here only the chunks spanned by a few thousand indices are joined,
    and none if that would exceed MAX_JOINED.
    """
    writer = TextWriter()
    for start in range(0, len(indices), CHUNK_TEXTS):
        some = indices[start : start + CHUNK_TEXTS]
        first, last = int(some.min()), int(some.max())
        span = texts.slice(first, last - first + 1)
        if span.nbytes <= MAX_JOINED:
            writer.add_column(pa.chunked_array(span.take(pa.array(some - first))))
        else:
            for index in some:
                writer.add(texts[int(index)].as_py())
    return writer.finish()


def has_surrogates(text: str) -> bool:
    """Whether it contains half of a surrogate pair, which is no character and has no UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)
