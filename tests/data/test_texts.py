"""Texts are stored unchanged, whatever they contain, and are read by row, by slice and in order."""

import mmap

import numpy as np
import pyarrow as pa
import pytest

from feathertune.data import texts
from feathertune.data.texts import (
    StoredTexts,
    TextWriter,
    iterate,
    take,
)

TEXTS = ["a", "", "line\nbreak", "日本語", "👩‍🔬", "NA", '"quoted"', "b" * 5000] * 3


@pytest.fixture
def column(monkeypatch: pytest.MonkeyPatch) -> pa.ChunkedArray:
    """`TEXTS` in chunks of five, in a mapped file."""
    monkeypatch.setattr(texts, "CHUNK_TEXTS", 5)
    monkeypatch.setattr("feathertune.system.spool.MAX_IN_MEMORY", 100)
    writer = TextWriter()
    for text in TEXTS:
        writer.add(text)
    return writer.finish()


def test_texts_are_read_back_unchanged(column: pa.ChunkedArray) -> None:
    assert column.num_chunks == 5
    assert list(iterate(column)) == TEXTS
    assert TextWriter().finish().to_pylist() == []


def test_long_texts_are_written_before_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "CHUNK_CHARACTERS", 10_000)
    writer = TextWriter()
    for text in TEXTS:
        writer.add(text)
    column = writer.finish()
    assert [len(chunk) for chunk in column.chunks] == [16, 8]
    assert column.to_pylist() == TEXTS


def test_many_texts_take_none_of_arrows_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pa.total_allocated_bytes()
    writer = TextWriter()
    for number in range(100_000):
        writer.add(f"a text of a hundred characters or so, which is number {number} of many such texts " + "." * 20)
    column = writer.finish()
    assert column.nbytes > 10_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert column[99_999].as_py().startswith("a text of a hundred characters or so, which is number 99999 ")


def test_a_stored_column_is_a_sequence_of_strings(column: pa.ChunkedArray) -> None:
    stored = StoredTexts(column)
    assert (len(stored), stored[7], stored[-1]) == (24, "b" * 5000, "b" * 5000)
    assert list(stored) == TEXTS
    assert list(stored[3:9]) == TEXTS[3:9]
    assert "日本語" in stored
    with pytest.raises(IndexError):
        stored[24]


@pytest.mark.parametrize("most_joined", [2**28, 6000])
@pytest.mark.parametrize("indices", [[], [3], [0, 1, 5, 6, 7, 11, 23], [23, 0, 11, 11, 2, 22, 1]])
def test_taking_some(
    column: pa.ChunkedArray, monkeypatch: pytest.MonkeyPatch, indices: list[int], most_joined: int
) -> None:
    monkeypatch.setattr(texts, "MAX_JOINED", most_joined)
    assert take(column, np.array(indices, dtype=np.int64)).to_pylist() == [TEXTS[index] for index in indices]


def test_a_file_of_texts_is_memory_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = []
    finish = texts.Spool.finish
    monkeypatch.setattr("feathertune.system.spool.MAX_IN_MEMORY", 100)
    monkeypatch.setattr(texts.Spool, "finish", lambda self: finished.append(finish(self)) or finished[-1])
    writer = TextWriter()
    writer.add("a text")
    assert writer.finish().to_pylist() == ["a text"]
    assert isinstance(finished[0], mmap.mmap)
