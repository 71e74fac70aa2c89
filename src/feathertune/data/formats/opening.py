"""Opening a file: which kind it is, how it is read, and its rows as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from feathertune.data.formats.arrow_rows import read_parquet
from feathertune.data.formats.delimited import empty_file, open_delimited
from feathertune.data.formats.format import FileFormat, FileSettings, Table
from feathertune.data.formats.json_rows import read_jsonl
from feathertune.data.formats.plain import read_txt
from feathertune.data.formats.sample import read_sample
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

_READERS: dict[str, Callable[[Path], Iterator[Row | BadRow]]] = {
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
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
    if suffix in _READERS:
        reader = _READERS[suffix]
        table = Table(str(path), path.name, lambda _: reader(path), suffix != ".jsonl", format=FileFormat(suffix[1:]))
        return OpenedFile({"train": table})
    sample = read_sample(path, settings.encoding)
    if not sample.text.strip():
        raise empty_file(path)
    found = open_delimited(path, settings, sample)
    if found is None:
        found = Table(str(path), path.name, lambda _: read_txt(path), True, format=FileFormat("txt"), columns=("text",))
    return OpenedFile({"train": found})


def read_rows(path: Path, names: tuple[str, ...] | None = None) -> Iterator[Row | BadRow]:
    """The rows of a file with one table, in order. `names` are for the columns of a file without a header."""
    return open_file(path, FileSettings()).tables["train"].read(names)
