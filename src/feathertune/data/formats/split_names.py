"""The names under which people keep splits within a file: keys of a JSON document, sheets of a workbook."""

from __future__ import annotations

_SPLITS = dict.fromkeys(("train", "training"), "train") | dict.fromkeys(("test", "testing"), "test")
_SPLITS |= dict.fromkeys(("dev", "development", "val", "valid", "validation"), "validation")


def split_of(name: str) -> str | None:
    """The split that a part of a file is named after: train, validation, test, or None."""
    words = name.casefold().strip().replace("-", "_").replace(" ", "_").split("_")
    found = {_SPLITS[word] for word in words if word in _SPLITS}
    rest = [word for word in words if word not in _SPLITS and word not in ("set", "data", "split")]
    return found.pop() if len(found) == 1 and not rest else None
