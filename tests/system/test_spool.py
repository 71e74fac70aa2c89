"""What is read from a spool is what was written, in memory or in a nameless file, and no file is left behind."""

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest

from feathertune.system import spool
from feathertune.system.spool import Spool


@pytest.mark.parametrize(("count", "kind"), [(0, bytes), (10, bytes), (11, mmap.mmap), (1000, mmap.mmap)])
def test_few_bytes_stay_in_memory_and_many_are_mapped(count: int, kind: type) -> None:
    written = Spool(max_in_memory=10)
    assert sum(written.write(bytes([number % 251])) for number in range(count)) == count
    content = written.finish()
    assert isinstance(content, kind)
    assert bytes(content) == bytes(number % 251 for number in range(count))
    assert written.closed


def test_an_array_goes_in_and_out_unchanged_and_cannot_be_written_to() -> None:
    numbers = np.arange(100_000, dtype=np.int32)
    written = Spool(max_in_memory=1000)
    for begin in range(0, len(numbers), 7000):
        written.write(numbers[begin : begin + 7000].data)
    read = np.frombuffer(written.finish(), dtype=np.int32)
    assert np.array_equal(read, numbers)
    with pytest.raises(ValueError, match="read-only"):
        read[0] = 1


def test_the_file_has_no_name_and_goes_with_its_last_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    written = Spool(max_in_memory=10)
    written.write(b"0123456789" * 1000)
    assert list(tmp_path.iterdir()) == []
    content = written.finish()
    assert content[9990:] == b"0123456789"
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_is_given_up_closes_its_file_without_a_warning() -> None:
    written = Spool(max_in_memory=1)
    written.write(b"more than one")
    del written
    gc.collect()  # an unclosed file would warn, and warnings are errors here
