"""Opening a file: which kind it is, how it is read, and its rows as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from feathertune.data.formats.arrow_rows import read_parquet
from feathertune.data.formats.delimited import read_csv, read_tsv
from feathertune.data.formats.format import FileFormat, FileSettings, Table
from feathertune.data.formats.json_rows import read_jsonl
from feathertune.data.formats.plain import read_txt
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

_READERS: dict[str, Callable[[Path], Iterator[Row | BadRow]]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".txt": read_txt,
}
DATA_SUFFIXES = frozenset({".tsv", ".csv", ".jsonl", ".parquet"})  # the types that can contain labelled data


@dataclass(frozen=True)
class OpenedFile:
    """A file's tables, split name -> table: `train` alone for most kinds."""

    tables: dict[str, Table]


def open_file(path: Path, settings: FileSettings) -> OpenedFile:
    """Open a file of any kind; what `settings` leave open is found by content.

    Raises:
        UserError: the file is missing, empty or of an unknown kind, or may be read in two ways.
    """
    if not path.is_file():
        raise UserError("there is no such file", where=str(path))
    suffix = path.suffix.lower()
    if suffix not in _READERS and suffix != ".tsv":
        kinds = ", ".join(sorted(DATA_SUFFIXES | {".txt"}))
        raise UserError(f"files of type {path.suffix!r} cannot be read", where=str(path), fix=f"Give one of {kinds}.")

    def read(names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        return read_tsv(path, names) if suffix == ".tsv" else _READERS[suffix](path)

    table = Table(str(path), path.name, read, fixed_columns=suffix != ".jsonl", format=FileFormat(suffix[1:]))
    return OpenedFile({"train": table})


def read_rows(path: Path, names: tuple[str, ...] | None = None) -> Iterator[Row | BadRow]:
    """The rows of a file with one table, in order. `names` are for the columns of a file without a header."""
    return open_file(path, FileSettings()).tables["train"].read(names)
