"""Folders whose files are texts, classes of texts, or texts and labels side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from feathertune.data.formats.encoding import find_encoding
from feathertune.data.formats.format import FileFormat, FileSettings, Roles, Table
from feathertune.data.formats.lines import without_line_end
from feathertune.data.formats.opening import DATA_SUFFIXES, open_file
from feathertune.data.formats.split_names import SPLITS, split_in, split_of
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
TEXT_SUFFIXES = frozenset({".txt", ".tab", ".psv", ".jl", ".text", ".train", ".test", ".dev"})
_TEXTS, _LABELS = re.compile(r"^(.*?)[_.-]?(text|texts|sentences)$"), ("labels", "label", "y")
_UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
Layout = tuple[dict[str, Table], list[Path], list[str]]  # tables by split, the files they come from, notes


def stem_of(name: str) -> str:
    """A file's name without the suffixes of its compression and kind."""
    path = Path(name)
    while path.suffix.lower() in PACKED or path.suffix.lower() in DATA_SUFFIXES | TEXT_SUFFIXES:
        path = path.with_suffix("")
    return path.name


def class_folders(folder: Path) -> Layout | None:
    """`split/class/*.txt`, or `class/*.txt`: the name of a text's folder is its label."""
    notes: list[str] = []
    by_split: dict[str, dict[str, list[Path]]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        classes = _texts_by_folder(inner)
        split = split_of(inner.name)
        if split is not None and len(classes) > 1:
            by_split[split] = classes
    if not by_split:
        classes = _texts_by_folder(folder)
        if len(classes) > 1 and not any(map(split_of, classes)):
            by_split = {"train": classes}
    if "train" not in by_split:
        return None
    files: list[Path] = []
    tables: dict[str, Table] = {}
    for split in SPLITS:
        classes = by_split.get(split, {})
        notes += [
            f"{split}/{name} is left out: {len(classes.pop(name)):,} texts without a label"
            for name in list(classes)
            if name.casefold() in _UNLABELLED
        ]
        if classes:
            texts = [(path, label) for label, paths in classes.items() for path in paths]
            tables[split] = _table_of_texts(folder if split == "train" else folder / split, split, texts)
            files += [path for path, _ in texts]
    return tables, files, notes


def _texts_by_folder(folder: Path) -> dict[str, list[Path]]:
    """The names of folders that hold text files, with these files."""
    found = {
        inner.name: sorted(inner.glob("*.txt"), key=_natural)
        for inner in sorted(folder.iterdir())
        if inner.is_dir() and not inner.name.startswith(".")
    }
    return {name: paths for name, paths in found.items() if paths}


def _natural(path: Path) -> list[tuple[int, str]]:
    """2.txt before 10.txt."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _table_of_texts(folder: Path, split: str, texts: Sequence[tuple[Path, str]]) -> Table:
    """One row a file."""

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for number, (path, label) in enumerate(texts, start=1):
            data = path.read_bytes()
            encoding = find_encoding(data, whole=True)
            try:
                text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
            except UnicodeDecodeError as error:
                yield BadRow(
                    str(path), f"not valid UTF-8: byte 0x{data[error.start]:02x} at position {error.start + 1}"
                )
                continue
            yield Row(str(path), number, {"text": text.strip("\r\n"), "label": label})

    found = FileFormat("txt", encoding=None)
    name = f"{split} (a file a text)"
    return Table(str(folder), name, read, True, found, ("text", "label"), Roles("text", "label"))


def class_files(folder: Path, files: Sequence[Path], settings: FileSettings) -> Layout | None:
    """`pos.txt` and `neg.txt`: the name of a file is the label of its lines."""
    del settings
    texts = [path for path in files if path.suffix.lower() == ".txt"]
    by_suffix = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in (".pos", ".neg"))
    classes = (
        {path.suffix[1:]: path for path in by_suffix} if len(by_suffix) > 1 else {stem_of(p.name): p for p in texts}
    )
    if len(classes) < 2 or (not by_suffix and len(texts) != len(files)):
        return None
    plain = {label: open_file(path, FileSettings(format="txt")).tables["train"] for label, path in classes.items()}

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for label, table in plain.items():
            for row in table.read(None):
                yield row if isinstance(row, BadRow) else Row(row.place, row.row, {**row.fields, "label": label})

    first = next(iter(plain.values()))
    table = Table(
        str(folder), "train (a file a class)", read, True, first.format, ("text", "label"), Roles("text", "label")
    )
    note = f"each file is a class, and each line a text: {', '.join(path.name for path in classes.values())}"
    return {"train": table}, list(classes.values()), [note]


def paired_files(folder: Path) -> Layout | None:
    """`train_text.txt` and `train_labels.txt`: line by line; `mapping.txt` has the names of numbered labels."""
    files = {
        path.stem if path.suffix == ".txt" else path.name: path for path in sorted(folder.iterdir()) if path.is_file()
    }
    tables: dict[str, Table] = {}
    used: list[Path] = []
    names = _mapping(files.get("mapping"))
    for stem, texts in files.items():
        match = _TEXTS.match(stem)
        split = split_in(match[1]) if match else None
        if match is None or split is None:
            continue
        labels = next(
            (files[key] for end in _LABELS for key in (re.sub(r"texts?$|sentences$", end, stem),) if key in files), None
        )
        if labels is None:
            continue
        tables[split] = _zipped(texts, labels, names)
        used += [texts, labels]
    if "train" not in tables:
        return None
    mapped = [files["mapping"]] if names else []
    return {split: tables[split] for split in SPLITS if split in tables}, [*used, *mapped], []


def _mapping(path: Path | None) -> dict[str, str]:
    """Number -> name, from lines of both with a tab (or spaces) between them."""
    if path is None:
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def _zipped(texts: Path, labels: Path, names: Mapping[str, str]) -> Table:
    """The lines of two files side by side."""
    left, right = (open_file(path, FileSettings(format="txt")).tables["train"] for path in (texts, labels))

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        others = right.read(None)
        for row in left.read(None):
            other = next(others, None)
            if other is None:
                raise UserError(f"{texts.name} has more lines than {labels.name}", where=row.place)
            if isinstance(row, BadRow) or isinstance(other, BadRow):
                yield row if isinstance(row, BadRow) else other
                continue
            label = without_line_end(str(other.fields["text"])).strip()
            yield Row(row.place, row.row, {"text": row.fields["text"], "label": names.get(label, label)})
        if next(others, None) is not None:
            raise UserError(f"{labels.name} has more lines than {texts.name}", where=str(labels))

    return Table(str(texts), texts.name, read, True, left.format, ("text", "label"), Roles("text", "label"))
