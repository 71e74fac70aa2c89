"""Files that may be compressed, opened as the bytes within them: gz, bz2, xz, zst, and zip with a single file in it.

What a file is shows in its first bytes; its name is not looked at. Workbooks are zip files too, and are left as they
are, as are all other kinds.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import pyarrow as pa

from feathertune.errors import UserError, in_short
from feathertune.recipe.parsing import typed

_BUFFER = 2**18
_MAGIC = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0", "zst": b"\x28\xb5\x2f\xfd", "zip": b"PK\x03\x04"}
_EMPTY_ZIP = b"PK\x05\x06"
_SUFFIXES = {"gz": ("gz", "gzip"), "bz2": ("bz2",), "xz": ("xz",), "zst": ("zst", "zstd"), "zip": ("zip",)}
_ARCHIVES = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar"}
_OF_WORKBOOKS = ("[Content_Types].xml", "mimetype", "_rels/.rels")  # members that make a zip file a document
_TAR_MARK = slice(257, 262)
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, RuntimeError)


def compression_of(path: Path) -> str | None:
    """How a file is compressed: gz, bz2, xz, zst or zip, or None.

    Raises:
        UserError: it is an archive of another kind (7z, rar, tar), which cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(512)
    for magic, kind in _ARCHIVES.items():
        if head.startswith(magic):
            raise _archive(path, kind)
    if head[_TAR_MARK] == b"ustar":
        raise _archive(path, "tar")
    found = _compression_of_bytes(head)
    return None if found == "zip" and _is_document(path) else found


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed where it is compressed: a buffered stream, which cannot always seek.

    Raises:
        UserError: the file is damaged (also later, while the stream is read), is compressed twice, or is an archive of
            several files.
    """
    compression = compression_of(path)
    if compression is None:
        with path.open("rb") as plain:
            yield plain
        return
    with _opened(path, compression) as stream:
        checked = io.BufferedReader(_Decompressed(stream, path, compression), _BUFFER)
        head = checked.peek(512)[:512]
        if head[_TAR_MARK] == b"ustar":
            raise _archive(path, "tar")
        again = _compression_of_bytes(head)
        if again is not None and again != "zip":  # a zip may be a workbook
            raise UserError(
                f"the file is compressed twice: {again} in {compression}", where=str(path), fix="Unpack it once."
            )
        yield cast("BinaryIO", checked)


def inner_name(path: Path) -> str:
    """The name of the file within a compressed file (its own name, if it is not compressed): `a.csv` of `a.csv.gz`."""
    compression = compression_of(path)
    if compression == "zip":
        with _damage_named(path, compression), zipfile.ZipFile(path) as archive:
            return PurePosixPath(_only_member(archive, path).filename).name
    if compression is not None and path.suffix[1:].lower() in _SUFFIXES[compression]:
        return path.stem
    return path.name


class _Decompressed(io.RawIOBase):
    """A decompressing stream whose errors are the user's: damaged files."""

    def __init__(self, stream: Any, path: Path, compression: str) -> None:
        self._stream, self._path, self._compression = stream, path, compression

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _damage_named(self._path, self._compression):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _opened(path: Path, compression: str) -> Iterator[Any]:
    if compression == "zip":
        with _damage_named(path, compression):
            archive = zipfile.ZipFile(path)
        with archive:
            member = _only_member(archive, path)
            with _damage_named(path, compression):
                stream = archive.open(member)
            with stream:
                yield stream
        return
    openers: dict[str, Callable[[Path], Any]] = {
        "gz": gzip.open,
        "bz2": bz2.open,
        "xz": lzma.open,
        "zst": lambda path: pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"),
    }
    with _damage_named(path, compression):
        stream = openers[compression](path)
    with stream:
        yield stream


@contextmanager
def _damage_named(path: Path, compression: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise UserError(
            f"the file is compressed ({compression}) and damaged, or of a variant that cannot be read: "
            f"{in_short(error)}",
            where=str(path),
            fix="Get it again, or unpack it with another program and give what was in it.",
        ) from None


def _compression_of_bytes(head: bytes) -> str | None:
    if head.startswith(_EMPTY_ZIP):
        return "zip"
    found = next((name for name, magic in _MAGIC.items() if head.startswith(magic)), None)
    if found == "bz2" and (head[3:4] not in b"123456789" or head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90")):
        return None  # a text that begins with BZh
    return found


def _is_document(path: Path) -> bool:
    """Whether a zip file is a workbook or another document. A damaged one is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name in _OF_WORKBOOKS for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """The only file of a zip archive; what macOS adds, folders and hidden files do not count."""
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]
    if not members:
        raise UserError("there is no file in the zip archive", where=str(path))
    if len(members) > 1:
        names = ", ".join(repr(member.filename[:80]) for member in members[:10])
        more = f" and {len(members) - 10} more" if len(members) > 10 else ""
        raise UserError(
            f"the zip archive has {len(members)} files, and one is expected: {names}{more}",
            where=str(path),
            fix=_unpack(path, "unzip -q {} -d {}"),
        )
    (member,) = members
    if member.flag_bits & 1:
        raise UserError("the zip archive is encrypted", where=str(path), fix="Unpack it, and give the file in it.")
    return member


def _archive(path: Path, kind: str) -> UserError:
    return UserError(
        f"the file is an archive ({kind}), which may hold several files",
        where=str(path),
        fix=_unpack(path, "mkdir {1} && tar -xf {0} -C {1}" if kind == "tar" else None),
    )


def _unpack(path: Path, command: str | None) -> str:
    """What to type for an archive: a command that unpacks it beside itself, and the folder as the source."""
    folder = path.with_name(path.name.split(".")[0])
    if command is None:
        return f"Unpack it, and give the folder: {typed('data.source', str(folder))}"
    unpacked = command.format(shlex.quote(str(path)), shlex.quote(str(folder)))
    return f"To unpack it: {unpacked}. Then give the folder: {typed('data.source', str(folder))}"
