"""Byte sizes."""

from feathertune.wording.size import size

MIB = 2**20


def test_bytes_are_written_as_people_write_them() -> None:
    assert [size(count) for count in (88, 20_000, 2.6 * MIB, 1000 * MIB, 1023.5 * MIB, 2**30)] == [
        "88 B",
        "19.5 KiB",
        "2.6 MiB",
        "1000 MiB",
        "1024 MiB",
        "1 GiB",
    ]
