"""Tables of texts whose labels are elsewhere: in the names of folders or files, or line by line in a second file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from feathertune.data.file_names import (
    holds_labels,
    holds_names,
    holds_texts,
    is_line_name,
    is_table_name,
    is_text_name,
    is_yaml,
    own_words,
    visible,
)
from feathertune.data.formats.encoding import SNIFFED, checked_encoding, find_encoding
from feathertune.data.formats.format import FileFormat, FileSettings, Roles, Table
from feathertune.data.formats.lines import MAX_LINE
from feathertune.data.formats.opening import open_file
from feathertune.data.formats.split_names import split_in
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

UNLABELLED = frozenset({"unsup", "unsupervised", "unlabeled", "unlabelled"})
_ROLES = Roles("text", "label")
_MARKED = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NUMBERED = re.compile(r"\s*(\d+)(?:\t|\s*[,:;]\s*|\s+)(.+)")


def texts_by_class(folder: Path) -> dict[str, list[Path]]:
    """The folders in `folder` that hold text files: name -> these files, 2.txt before 10.txt."""
    found = {
        inner.name: sorted((path for path in visible(inner) if path.is_file() and is_text_name(path)), key=_natural)
        for inner in visible(folder)
        if inner.is_dir()
    }
    return {name: paths for name, paths in found.items() if paths}


def table_of_texts(folder: Path, name: str, classes: Mapping[str, Sequence[Path]], settings: FileSettings) -> Table:
    """A row for each file: its whole text, with line breaks but without white space at its ends.

    A row's place is the file; rows are numbered through all classes, in the order of `classes`.

    Args:
        folder: of the table, for messages.
        name: of the table.
        classes: label -> files.
        settings: the encoding, if the user set one.
    """
    texts = [(path, label) for label, paths in classes.items() for path in paths]
    encoding = _common_encoding([path for path, _ in texts], settings)

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for number, (path, label) in enumerate(texts, start=1):
            text = _whole_text(path, encoding)
            yield text if isinstance(text, BadRow) else Row(str(path), number, {"text": text, "label": label})

    found = FileFormat("txt", encoding=encoding)
    return Table(str(folder), name, read, True, found, ("text", "label"), _ROLES)


def _whole_text(path: Path, encoding: str) -> str | BadRow:
    size = path.stat().st_size
    if size > MAX_LINE:
        return BadRow(str(path), f"a text of {size:,} bytes, of which at most {MAX_LINE:,} are read")
    data = path.read_bytes()
    if data.startswith(_MARKED):
        encoding = find_encoding(data, whole=True)
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        wrong = f"not valid {encoding.upper()}: byte 0x{data[error.start]:02x} at position {error.start + 1}"
        fix = "Leave such rows out, data.on_bad_row=skip, or name the encoding if it is another, for example "
        return BadRow(str(path), wrong, f"{fix}data.encoding=windows-1252.")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _common_encoding(paths: Sequence[Path], settings: FileSettings) -> str:
    """One encoding for all texts without a byte order mark, from those of their lines that are not ASCII."""
    if settings.encoding is not None:
        return checked_encoding(settings.encoding)
    lines: list[bytes] = []
    seen = 0
    for path in paths:
        with path.open("rb") as file:
            data = file.read(SNIFFED - seen)
        seen += len(data)
        if not data.isascii() and not data.startswith(_MARKED):
            lines += [line for line in data.splitlines() if not line.isascii()]
        if seen >= SNIFFED:
            break
    return find_encoding(b"\n".join(lines), whole=True) if lines else "utf-8"


def find_class_files(files: Sequence[Path]) -> dict[str, Path] | None:
    """Label -> file, if every file is named as one of lines and after a class; None if not."""
    lines = [path for path in files if is_line_name(path) and path.suffix]
    if len(lines) == len(files) > 1:
        classes = {own_words(path): path for path in lines}
        return classes if len(classes) == len(files) and all(classes) and not any(map(holds_labels, files)) else None
    ends = {path.suffix[1:]: path for path in files if path.suffix[1:].isalpha() and not is_table_name(path)}
    known = [path for path in files if is_line_name(path) or is_yaml(path) or split_in(path.suffix)]
    same = len({path.stem for path in files}) == 1
    return ends if same and len(ends) == len(files) > 1 and not known and all(map(_is_text, files)) else None


def are_tables(files: Sequence[Path], settings: FileSettings) -> bool:
    """Whether files that are named like lines hold tables with the same columns."""
    columns = {open_file(path, settings).tables["train"].columns for path in files}
    return len(columns) == 1 and len(columns.pop() or ()) > 1


def table_of_class_files(folder: Path, name: str, classes: Mapping[str, Path], settings: FileSettings) -> Table:
    """A row for each line that is not empty, labelled by its file: label -> file. Raises UserError as `open_file`."""
    tables = {label: _lines_of(path, settings) for label, path in classes.items()}

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        number = 0
        for label, table in tables.items():
            for row in table.read(None):
                if isinstance(row, Row) and not str(row.fields["text"]).strip():
                    continue
                number += 1
                if isinstance(row, BadRow):
                    yield row
                else:
                    yield Row(row.place, number, {"text": row.fields["text"], "label": label})

    found = next(iter(tables.values())).format
    return Table(str(folder), name, read, True, found, ("text", "label"), _ROLES)


@dataclass(frozen=True)
class Pair:
    """A file of texts and one of their labels, line by line."""

    texts: Path
    labels: Path


def find_pair(files: Sequence[Path]) -> Pair | None:
    """The only file of texts and the only one of labels among the files of a split; None if there are others."""
    plain = [path for path in files if is_line_name(path)]
    labels = [path for path in plain if holds_labels(path)]
    texts = [path for path in plain if path not in labels and holds_texts(path)]
    texts = texts or [path for path in plain if path not in labels]  # train.txt beside train.label
    return Pair(texts[0], labels[0]) if len(texts) == 1 and len(labels) == 1 else None


def names_of_labels(folder: Path, labels: Path, settings: FileSettings) -> tuple[dict[str, str], Path | None]:
    """What the numbers in a file of labels are called, by the file beside it that holds names; and that file.

    Such a file has a number and a name on each line (mapping.txt), or the names alone (classes.txt), which are counted
    from 0 or from 1, as the labels are. Labels that are no numbers need none.
    """
    values = {str(row.fields["text"]).strip() for row in _lines_of(labels, settings).read(None) if isinstance(row, Row)}
    values.discard("")
    files = [path for path in visible(folder) if path.is_file() and holds_names(path) and path != labels]
    if len(files) != 1 or not values or not all(value.isdigit() for value in values):
        return {}, None
    lines = [str(row.fields["text"]) for row in _lines_of(files[0], settings).read(None) if isinstance(row, Row)]
    lines = [line for line in lines if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(numbered):
        names = {match[1]: match[2].split("\t")[0].strip() for match in numbered if match}
    else:
        first = 0 if "0" in values else 1
        names = {str(number): line.strip() for number, line in enumerate(lines, start=first)}
    known = values <= names.keys() and len(set(names.values())) == len(names)
    return (names, files[0]) if known else ({}, None)


def table_of_pair(pair: Pair, names: Mapping[str, str], settings: FileSettings) -> Table:
    """The lines of two files side by side. `names`: of labels that are numbers. Raises UserError as `open_file`."""
    left, right = _lines_of(pair.texts, settings), _lines_of(pair.labels, settings)

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for text, label in zip_longest(_trimmed(left.read(None)), _trimmed(right.read(None))):
            if text is None or label is None:
                raise _lines_left(pair, left, right)
            if isinstance(text, BadRow) or isinstance(label, BadRow):
                yield text if isinstance(text, BadRow) else label
                continue
            name = str(label.fields["text"]).strip()
            yield Row(text.place, text.row, {"text": text.fields["text"], "label": names.get(name, name)})

    return Table(left.place, left.name, read, True, left.format, ("text", "label"), _ROLES)


def _trimmed(rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
    """Rows without the empty ones at the end of a file."""
    empty: list[Row | BadRow] = []
    for row in rows:
        if isinstance(row, Row) and not str(row.fields["text"]).strip():
            empty.append(row)
            continue
        yield from empty
        empty.clear()
        yield row


def _lines_left(pair: Pair, left: Table, right: Table) -> UserError:
    texts, labels = (sum(1 for _ in _trimmed(table.read(None))) for table in (left, right))
    return UserError(
        f"{pair.texts.name} has {texts:,} lines and {pair.labels.name} has {labels:,}: a text and its label must be on "
        "the same line",
        where=str(pair.texts.parent),
        fix="Get both files again, or write texts and labels into one csv file.",
    )


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)


def _lines_of(path: Path, settings: FileSettings) -> Table:
    """The lines of a file, whatever is in them."""
    return open_file(path, FileSettings(format="txt", encoding=settings.encoding)).tables["train"]


def _natural(path: Path) -> list[tuple[int, str]]:
    """2.txt before 10.txt."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
