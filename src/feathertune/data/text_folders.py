"""Folders whose files are texts, classes of texts, or texts and labels side by side."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from feathertune.data.formats.encoding import SNIFFED, checked_encoding, encoding_title, find_encoding
from feathertune.data.formats.format import FileFormat, FileSettings, Roles, Table
from feathertune.data.formats.lines import WAYS_OUT, without_line_end
from feathertune.data.formats.opening import DATA_SUFFIXES, open_file
from feathertune.data.formats.split_names import SPLITS, split_in, split_of
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
TEXT_SUFFIXES = frozenset({".txt", ".tab", ".psv", ".jl", ".text", ".train", ".test", ".dev"})
_PAIRED = frozenset({".txt", ".text", ".texts", ".label", ".labels", ".y", ".x", ".in", ""})  # of files side by side
_TEXT_WORDS = frozenset({"text", "texts", "sentence", "sentences", "data", "x", "seq", "in"})
_LABEL_WORDS = frozenset({"label", "labels", "target", "targets", "y"})
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
Layout = tuple[dict[str, Table], list[Path], list[str]]  # tables by split, the files they come from, notes


def stem_of(name: str) -> str:
    """A file's name without the suffixes of its compression and kind."""
    path = Path(name)
    while path.suffix.lower() in PACKED or path.suffix.lower() in DATA_SUFFIXES | TEXT_SUFFIXES:
        path = path.with_suffix("")
    return path.name


def class_folders(folder: Path, settings: FileSettings, *, splits_only: bool = False) -> Layout | None:
    """`split/class/*.txt`, or `class/*.txt`: the name of a text's folder is its label.

    `splits_only`: the folder has a train file, so that folders beside it are no classes.
    """
    notes: list[str] = []
    by_split: dict[str, dict[str, list[Path]]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        split = split_of(inner.name) or split_in(inner.name)
        classes = {} if split is None else _texts_by_folder(inner)
        if split is not None and classes and split in by_split:
            raise UserError(
                f"two folders are the {split} split: {inner.name} is the second one", where=str(folder), fix="Keep one."
            )
        if split is not None and classes:
            by_split[split] = classes
    if len(by_split.get("train", ())) < 2:  # one folder in `train` holds its texts, and is no class
        by_split = {}
    if not by_split and not splits_only:
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
            tables[split] = _table_of_texts(folder if split == "train" else folder / split, split, texts, settings)
            files += [path for path, _ in texts]
    return tables, files, notes


def _texts_by_folder(folder: Path) -> dict[str, list[Path]]:
    """The names of folders that hold text files, with these files: `*.txt`, else files without a suffix (`49960`)."""
    found: dict[str, list[Path]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        files = [path for path in inner.iterdir() if path.is_file() and not path.name.startswith(".")]
        bare = [path for path in files if path.name.isdigit() or re.fullmatch(r"[\d_-]+\.?", path.name)]
        texts = [path for path in files if path.suffix.lower() == ".txt"] or bare
        if texts:
            found[inner.name] = sorted(texts, key=_natural)
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    """2.txt before 10.txt."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _table_of_texts(folder: Path, split: str, texts: Sequence[tuple[Path, str]], settings: FileSettings) -> Table:
    """One row a file. All files have one encoding, which those show that are not ASCII."""
    encoding = _common_encoding([path for path, _ in texts]) if settings.encoding is None else settings.encoding
    encoding = checked_encoding(encoding)

    def read(_: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for number, (path, label) in enumerate(texts, start=1):
            data = path.read_bytes()
            try:
                text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
            except UnicodeDecodeError as error:
                reason = f"not valid {encoding_title(encoding)}: byte 0x{data[error.start]:02x} at position"
                yield BadRow(str(path), f"{reason} {error.start + 1}", WAYS_OUT)
                continue
            yield Row(str(path), number, {"text": text.strip("\r\n"), "label": label})

    found = FileFormat("txt", encoding=encoding)
    name = f"{split} (a file a text)"
    return Table(str(folder), name, read, True, found, ("text", "label"), Roles("text", "label"))


def _common_encoding(paths: Sequence[Path]) -> str:
    """The encoding of files that are alike, of which at most 1 MiB is looked at (and of each its beginning)."""
    head = b""
    for path in paths:
        with path.open("rb") as file:
            start = file.read(SNIFFED)
        if start.startswith(_WIDE_MARKS):
            return find_encoding(start, whole=True)
        head += b"" if start.isascii() else start + b"\n"
        if len(head) > SNIFFED:
            break
    return find_encoding(head[:SNIFFED], whole=len(head) <= SNIFFED)


def class_files(folder: Path, files: Sequence[Path], settings: FileSettings) -> Layout | None:
    """`pos.txt` and `neg.txt`: the name of a file is the label of its lines."""
    texts = [path for path in files if path.suffix.lower() == ".txt"]
    by_suffix = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in (".pos", ".neg"))
    classes = (
        {path.suffix[1:]: path for path in by_suffix} if len(by_suffix) > 1 else {stem_of(p.name): p for p in texts}
    )
    if len(classes) < 2 or (not by_suffix and len(texts) != len(files)):
        return None
    kinds = (open_file(path, settings).tables["train"].format for path in classes.values())
    if not by_suffix and any(kind is None or kind.kind != "txt" or kind.tool is not None for kind in kinds):
        return None  # tables, which have columns
    encoding = settings.encoding or _common_encoding(list(classes.values()))
    as_lines = FileSettings(format="txt", encoding=encoding)
    plain = {label: open_file(path, as_lines).tables["train"] for label, path in classes.items()}

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


def paired_files(folder: Path, settings: FileSettings) -> Layout | None:
    """`train_text.txt` and `train_labels.txt`: line by line; `mapping.txt` has the names of numbered labels."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in _PAIRED]
    labels = {key[1]: path for path in files if (key := _part(path))[0] == "labels"}
    tables: dict[str, Table] = {}
    used: list[Path] = []
    mapping = next((path for path in files if path.stem == "mapping"), None)
    names = _mapping(mapping)
    for path in files:
        kind, rest = _part(path)
        split = split_in(" ".join(rest)) or ("train" if not rest else None)
        if kind == "texts" and split is not None and rest in labels:
            tables[split] = _zipped(path, labels[rest], names, settings)
            used += [path, labels[rest]]
    if "train" not in tables:
        return None
    mapped = [mapping] if names and mapping is not None else []
    return {split: tables[split] for split in SPLITS if split in tables}, [*used, *mapped], []


def _part(path: Path) -> tuple[str, tuple[str, ...]]:
    """Whether a file has texts or labels, by the words of its name, and the other words."""
    words = [word for word in re.split(r"[\W_]+", path.name.casefold().removesuffix(".txt")) if word]
    rest = tuple(word for word in words if word not in _TEXT_WORDS | _LABEL_WORDS)
    return "labels" if any(word in _LABEL_WORDS for word in words) else "texts", rest


def _mapping(path: Path | None) -> dict[str, str]:
    """Number -> name, from lines of both with a tab (or spaces) between them."""
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError("the names of labels are not valid UTF-8", where=str(path), fix="Save it as UTF-8.") from None
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def _zipped(texts: Path, labels: Path, names: Mapping[str, str], settings: FileSettings) -> Table:
    """The lines of two files side by side."""
    as_lines = FileSettings(format="txt", encoding=settings.encoding)
    left, right = (open_file(path, as_lines).tables["train"] for path in (texts, labels))

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
