"""The names under which people keep splits: of files, folders, keys of a JSON document, sheets of a workbook."""

from __future__ import annotations

import re

SPLITS = ("train", "validation", "test")  # in reading order: train determines the labels
SPLIT_NAMES = (
    dict.fromkeys(("train", "training"), "train")
    | dict.fromkeys(("dev", "validation", "val", "valid", "validate", "eval", "development", "devel"), "validation")
    | dict.fromkeys(("test", "testing"), "test")
)

_JOINED = re.compile(r"(data|set)$")  # of `testdata`, `trainset`


def split_of(name: str) -> str | None:
    """The split that a part of a file, or a folder, is named after: train, validation, test, or None."""
    words = name.casefold().strip().replace("-", "_").replace(" ", "_").split("_")
    found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    rest = [word for word in words if word not in SPLIT_NAMES and word not in ("set", "data", "split")]
    return found.pop() if len(found) == 1 and not rest else None


def split_in(name: str) -> str | None:
    """The split that a file's name has as a word: `my_train`, `testdata`, `train-00000-of-00002`, or None."""
    words = (word if word in SPLIT_NAMES else _JOINED.sub("", word) for word in re.split(r"[^a-z]+", name.casefold()))
    found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else None
