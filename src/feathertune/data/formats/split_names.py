"""The names under which people keep splits: of files, folders, keys of a JSON document, sheets of a workbook."""

from __future__ import annotations

import re

SPLITS = ("train", "validation", "test")  # in reading order: train determines the labels
SPLIT_NAMES = (
    dict.fromkeys(("train", "training"), "train")
    | dict.fromkeys(("dev", "validation", "val", "valid", "validate", "development", "devel"), "validation")
    | dict.fromkeys(("eval", "evaluation"), "validation")  # as in transformers; `datasets` takes them for test
    | dict.fromkeys(("test", "testing"), "test")
)
_ALSO = ("set", "data", "split", "file")  # what may follow: trainset, test data
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_COMPOUND = re.compile(rf"({'|'.join(SPLIT_NAMES)})({'|'.join(_ALSO)})")


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: `my_trainSet` and `my-TRAIN.set` are my, train, set; trainset is two."""
    words = (word.casefold() for word in _WORD.findall(name))
    compounds = ((word, _COMPOUND.fullmatch(word)) for word in words)
    return [part for word, match in compounds for part in ((word,) if match is None else match.groups())]


def split_of(name: str) -> str | None:
    """The split that a part of a file, or a folder, is named after: train, validation, test, or None."""
    return split_in(name) if not _other_words(name) else None


def split_in(name: str) -> str | None:
    """The split that a file's name has as a word: `my_train`, `train-00000-of-00002`; None if it has none, or two."""
    found = {SPLIT_NAMES[word] for word in words_of(name) if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else None


def is_eval(name: str) -> bool:
    """Whether a split is named so that others take it for the test."""
    return not {"eval", "evaluation"}.isdisjoint(words_of(name))


def _other_words(name: str) -> bool:
    """Whether a name has letters or digits that are part of no split's name."""
    rest = re.sub(r"[\W_]+", "", "".join(_WORD.sub("", name)))
    return bool(rest) or any(word not in SPLIT_NAMES and word not in _ALSO for word in words_of(name))
