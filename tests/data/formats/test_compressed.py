"""Compressed files are opened as what is in them, whatever their names; damaged and ambiguous ones are named."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from feathertune.data.formats.compressed import compression_of, inner_name, open_binary
from feathertune.errors import UserError

TEXT = b"text,label\n" + b"".join(b"a fine day %d,yes\n" % number for number in range(5000))


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def zst(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


COMPRESSED = {
    "gz": gzip.compress(TEXT),
    "bz2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "zst": zst(TEXT),
    "zip": zipped({"a.csv": TEXT, "__MACOSX/._a.csv": b"x", "folder/": b"", ".DS_Store": b"x"}),
}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", COMPRESSED)
def test_the_first_bytes_tell_what_a_file_is_not_its_name(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.data", COMPRESSED[kind])
    assert compression_of(path) == kind
    with open_binary(path) as file:
        assert [file.readline(), file.read()] == [b"text,label\n", TEXT[11:]]


def test_a_plain_file_is_opened_as_it_is(tmp_path: Path) -> None:
    for content in (TEXT, b"", b"BZh is how this text begins", b"PK"):
        path = write(tmp_path / "a.csv.gz", content)
        assert compression_of(path) is None
        with open_binary(path) as file:
            assert file.read() == content


@pytest.mark.parametrize("join", ["gz", "bz2", "xz", "zst"])
def test_files_compressed_in_several_pieces_are_read_to_the_end(tmp_path: Path, join: str) -> None:
    with open_binary(write(tmp_path / "a", COMPRESSED[join] * 2)) as file:
        assert file.read() == TEXT * 2


def test_the_name_within_is_a_hint_at_the_kind(tmp_path: Path) -> None:
    assert inner_name(write(tmp_path / "a.csv.gz", COMPRESSED["gz"])) == "a.csv"
    assert inner_name(write(tmp_path / "b.tsv.GZ", COMPRESSED["gz"])) == "b.tsv"
    assert inner_name(write(tmp_path / "c.zip", COMPRESSED["zip"])) == "a.csv"
    assert inner_name(write(tmp_path / "d.csv", COMPRESSED["gz"])) == "d.csv"
    assert inner_name(write(tmp_path / "e.csv", TEXT)) == "e.csv"


def test_a_workbook_is_not_an_archive(tmp_path: Path) -> None:
    assert compression_of(write(tmp_path / "a", zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}))) is None
    assert compression_of(write(tmp_path / "b", zipped({"mimetype": b"", "content.xml": b""}))) is None


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_damaged_file_is_the_users_error(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.csv", COMPRESSED[kind][: len(COMPRESSED[kind]) // 2])
    damaged = rf"a\.csv: the file is compressed \({kind}\) and damaged"
    with pytest.raises(UserError, match=damaged), open_binary(path) as file:
        file.read()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.csv")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    return buffer.getvalue()


REFUSED = {
    "two files": (zipped({"a.csv": TEXT, "b.csv": TEXT}), "has 2 files, and one is expected: 'a.csv', 'b.csv'"),
    "no file": (zipped({}), "there is no file in the zip archive"),
    "tar": (tar(), "an archive (tar)"),
    "tar.gz": (gzip.compress(tar()), "an archive (tar)"),
    "7z": (b"7z\xbc\xaf\x27\x1c...", "an archive (7z)"),
    "rar": (b"Rar!\x1a\x07...", "an archive (rar)"),
    "twice": (gzip.compress(gzip.compress(TEXT)), "compressed twice: gz in gz"),
    "zipped gz": (zipped({"a.csv.gz": gzip.compress(TEXT)}), "compressed twice: gz in zip"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    content, message = REFUSED[case]
    with pytest.raises(UserError) as caught, open_binary(write(tmp_path / "a.csv", content)):
        pass
    assert message in str(caught.value)
    assert "unzip" in str(caught.value) or case != "two files"


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.csv": b"text,label\n"}, zipfile.ZIP_STORED))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UserError, match="encrypted"), open_binary(write(tmp_path / "a.zip", bytes(content))):
        pass
