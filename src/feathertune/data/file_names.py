"""What the names of files in a folder of data tell: which may be data, which hold texts, labels or names of labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from feathertune.data.formats.opening import DATA_SUFFIXES
from feathertune.data.formats.split_names import SPLIT_NAMES, is_eval, split_in, words_of
from feathertune.errors import UserError, in_short

PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})
ARCHIVES = frozenset({".tar", ".tgz", ".7z", ".rar", ".zip"})
_TABLES = DATA_SUFFIXES | {".jl", ".tab", ".psv", ".dat"}
_LINES = frozenset({"", ".txt", ".text", ".label", ".labels", ".in", ".tok", ".raw"})
_YAML = frozenset({".yml", ".yaml"})
_NO_DATA = re.compile(
    r"(read\W?me|licen[cs]e|copying|changelog|change_log|requirements|citation|dataset_infos?|dataset_dict|state"
    r"|package|agent|.*config|tokenizer.*|vocab.*|.*\.vocab|(label2id|id2label).*|cache-.*)(\.|$)",
    re.IGNORECASE,
)
_NAMES = re.compile(r"(mapping|class(es)?|categories|names|label_?list|(class|label)_?(names|map|mapping)|labels)$")
_TEXT_WORDS = frozenset({"text", "texts", "sentence", "sentences", "x", "input", "inputs", "document", "documents"})
_LABEL_WORDS = frozenset({"label", "labels", "y", "target", "targets"})
_SHARD = re.compile(r"(.*?)[-_.]?(\d+)[-_]of[-_](\d+)$")
_PART = re.compile(r"(.*?[a-zA-Z])[-_.]?(\d+)$")
_NAMED_BY_NUMBER = re.compile(r"\.(\d+|[0-9a-f]{8,})")  # 00001.7c53336b37003a9286aba55d2945844c


def visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted: files and folders that are not hidden. Raises a UserError if it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    except OSError as error:
        raise UserError(f"the folder cannot be read: {in_short(error)}", where=str(folder)) from None


def stem_of(path: Path) -> str:
    """A file's name without the suffixes of its compression and kind; `a.train` keeps its suffix, which is a split."""
    if path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    return path.stem if path.suffix.lower() in _TABLES | _LINES | _YAML | {".md"} else path.name


def kind_suffix(path: Path) -> str:
    """The suffix of a file's kind: `.csv` of a.csv.gz."""
    return Path(path.stem if path.suffix.lower() in PACKED else path.name).suffix.lower()


def is_table_name(path: Path) -> bool:
    """Whether a file is named as one of rows and columns."""
    return kind_suffix(path) in _TABLES and not is_no_data(path)


def is_line_name(path: Path) -> bool:
    """Whether a file is named as one of plain lines: train_text.txt, train.label, seq.in, label."""
    return kind_suffix(path) in _LINES and not is_no_data(path)


def may_be_split(path: Path) -> bool:
    """Whether a file may be a split, if its name has the word: by its suffix, or without one that is known."""
    suffix = kind_suffix(path)
    unknown = split_in(suffix) is not None  # stsa.binary.train
    return not is_no_data(path) and (unknown or suffix in _TABLES | _LINES | _YAML)


def is_text_name(path: Path) -> bool:
    """Whether a file may be a single text of a class: 12.txt, 49960, 00001.7c53336b37003a92."""
    suffix = path.suffix.lower()
    return suffix in ("", ".txt", ".text") or _NAMED_BY_NUMBER.fullmatch(suffix) is not None


def is_yaml(path: Path) -> bool:
    """Whether a file is named as YAML, as Rasa's are."""
    return path.suffix.lower() in _YAML


def is_eval_name(path: Path) -> bool:
    """Whether a file or folder is named `eval`, which others take for the test."""
    return is_eval(stem_of(path))


def is_no_data(path: Path) -> bool:
    """Whether a file's name is that of something else than data: a README, a licence, a configuration."""
    return _NO_DATA.match(path.name) is not None


def is_submission(path: Path) -> bool:
    """Whether a file is a competition's example of an answer."""
    return "submission" in words_of(path.name)


def holds_names(path: Path) -> bool:
    """Whether a file's name says that it holds the names of labels: mapping.txt, classes.txt."""
    return kind_suffix(path) in ("", ".txt") and _NAMES.match(stem_of(path).casefold()) is not None


def holds_texts(path: Path) -> bool:
    """Whether a file's name says that it holds the texts whose labels are elsewhere: train_text.txt, seq.in."""
    return not _TEXT_WORDS.isdisjoint(words_of(_without_kind(path))) or path.name == "seq.in"


def holds_labels(path: Path) -> bool:
    """Whether a file's name says that it holds labels, line by line: train_labels.txt, train.label."""
    return not _LABEL_WORDS.isdisjoint(words_of(_without_kind(path)))


def own_words(path: Path) -> str:
    """A file's name without the words of a split: `pos` of train_pos.txt."""
    stem = stem_of(path)
    words = [word for word in re.split(r"[\W_]+", stem) if word.casefold() not in SPLIT_NAMES]
    return "_".join(filter(None, words))


def in_shards(paths: Sequence[Path]) -> list[Path] | None:
    """The shards of one table in their order; None if the files are not all shards of the same one.

    Raises:
        UserError: one of them is missing.
    """
    matches = [_SHARD.fullmatch(stem_of(path)) for path in paths]
    whole = {(match[1], match[3], kind_suffix(path)) for match, path in zip(matches, paths, strict=True) if match}
    if not all(matches) or len(whole) != 1:
        return None
    by_number = {int(match[2]): path for match, path in zip(matches, paths, strict=True) if match}
    count = int(next(iter(whole))[1])
    first = 1 if count in by_number and 0 not in by_number else 0
    missing = [str(number) for number in range(first, first + count) if number not in by_number]
    if missing:
        width = max(len(match[2]) for match in matches if match)
        raise UserError(
            f"{len(by_number)} of {count} shards are there, and number {missing[0].zfill(width)} is missing",
            where=str(paths[0].parent),
            fix="Get it again, or name one file: data.source=FILE",
        )
    return [by_number[number] for number in sorted(by_number)]


def in_parts(paths: Sequence[Path]) -> list[Path] | None:
    """Files that differ by a number alone, counted from 0 or 1 (train_1.csv, train_2.csv), in their order; or None."""
    matches = [_PART.fullmatch(stem_of(path)) for path in paths]
    numbers = {int(match[2]): path for match, path in zip(matches, paths, strict=True) if match}
    stems = {(match[1].casefold(), kind_suffix(path)) for match, path in zip(matches, paths, strict=True) if match}
    first = min(numbers, default=0)
    counted = sorted(numbers) == list(range(first, first + len(paths))) and first in (0, 1)
    if not all(matches) or len(stems) != 1 or not counted or "fold" in words_of(paths[0].name):
        return None
    return [numbers[number] for number in sorted(numbers)]


def _without_kind(path: Path) -> str:
    """A name without a suffix that says nothing of what is in the file: `train.label` keeps its own."""
    return path.stem if kind_suffix(path) in (".txt", *_TABLES) else path.name
