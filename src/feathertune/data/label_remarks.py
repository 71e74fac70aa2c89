"""What may be wrong with the labels of a dataset: spellings, several in a cell, too many, too few, an order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from feathertune.data.example import Dataset
from feathertune.data.rows import is_number
from feathertune.data.spelling import folded, labels_in_cell
from feathertune.folders.inputs import Remark
from feathertune.recipe.parsing import typed, typed_list, typed_rating
from feathertune.recipe.schema import LabelSection
from feathertune.wording.numbers import count
from feathertune.wording.visible import shortened

MAJORITY = 0.8  # share of the most frequent class, from which it is said
NO_LABEL = frozenset({
    "nan", "null", "none", "nil", "n/a", "na", "#n/a", "<na>", "n.a.", "-", "--", "?", "missing", "undefined", "\\n",
    "not available", "no label", "unlabeled", "unlabelled", "(null)", "<null>", "[null]",
})  # fmt: skip
_SHOWN = 5
_NAME = 40  # characters of a label in a remark
_ORDERED_NAMES = re.compile(
    r"stars?|rating|rate|score|grade|level|rank|severity|priority|urgency|quality|stufe|note|puntuación|estrellas",
    re.IGNORECASE,
)
_SCALES = (
    ("very low", "low", "medium", "high", "very high"), ("low", "moderate", "high"), ("low", "mid", "high"),
    ("low", "medium", "high", "critical"), ("low", "normal", "high", "urgent"), ("minor", "major", "critical"),
    ("very negative", "negative", "neutral", "positive", "very positive"),
    ("extremely negative", "negative", "neutral", "positive", "extremely positive"),
    ("very bad", "bad", "neutral", "good", "very good"), ("bad", "ok", "good"), ("bad", "okay", "good"),
    ("terrible", "bad", "average", "good", "excellent"), ("poor", "fair", "good", "very good", "excellent"),
    ("poor", "average", "good", "excellent"), ("bad", "medium", "good"), ("negative", "neutral", "positive"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"), ("none", "mild", "moderate", "severe"),
    ("never", "rarely", "sometimes", "often", "always"), ("small", "medium", "large"), ("easy", "medium", "hard"),
    ("beginner", "intermediate", "advanced"), ("weak", "medium", "strong"), ("slow", "medium", "fast"),
    ("one", "two", "three", "four", "five"), ("worst", "bad", "average", "good", "best"), ("cold", "warm", "hot"),
    ("very unlikely", "unlikely", "neutral", "likely", "very likely"),
    ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
)  # fmt: skip


def about_labels(dataset: Dataset) -> Iterator[Remark]:
    """The remarks on the labels of a dataset. Those on spelling do not concern labels that come from a rating."""
    section = LabelSection() if dataset.section is None else dataset.section.label
    counts = _counts(dataset)
    if section.rating is None and section.has is None:
        several = _several(counts)
        yield from several
        yield from _without_label(counts)
        yield from _spellings(counts)
        unique = _as_many_as_rows(counts, section)
        yield from unique
        if not several and not unique:
            yield from _single(dataset)
            yield from _order(dataset.label_names, section)
    yield from _imbalance(counts)


def _counts(dataset: Dataset) -> dict[str, int]:
    """Label -> examples in all splits."""
    labels = np.concatenate([split.labels for split in dataset.splits.values()])
    numbers = np.bincount(labels, minlength=len(dataset.label_names)).tolist()
    return dict(zip(dataset.label_names, numbers, strict=True))


def _several(counts: Mapping[str, int]) -> list[Remark]:
    """Cells with several labels: the parts of most labels with separators occur in other labels as well."""
    parts = {name: list(dict.fromkeys(labels_in_cell(name))) for name in counts}
    cells = [name for name in counts if len(parts[name]) > 1]
    in_names = Counter(part for name in counts for part in parts[name])
    recurring = sum(counts[name] for name in cells if all(in_names[part] > 1 for part in parts[name]))
    if not recurring or 2 * recurring < sum(counts[name] for name in cells):
        return []
    rows: Counter[str] = Counter()
    for name, number in counts.items():
        rows.update(dict.fromkeys(parts[name], number))
    total = sum(counts.values())
    common = max((part for part in rows if rows[part] < total), key=lambda part: rows[part])
    text = f"the cells look like several labels each (multi-label), such as {_named(cells[:2])}"
    fix = f"train one model a label: {typed('data.label.has', common)}"
    return [Remark(kind="several_labels", text=text, fix=fix)]


def _without_label(counts: Mapping[str, int]) -> Iterator[Remark]:
    """Labels that look like none."""
    names = [name for name in counts if folded(name) in NO_LABEL and not (folded(name) == "-" and "+" in counts)]
    if names:
        rows = sum(counts[name] for name in names)
        yield Remark(
            kind="no_label",
            text=f"{_named(names)} ({count(rows, 'row')}) may stand for no label",
            fix=f"{typed_list('data.label.missing', names)} leaves such rows out",
        )


def _spellings(counts: Mapping[str, int]) -> Iterator[Remark]:
    """Labels that differ in case or outer spaces alone."""
    groups: dict[str, list[str]] = {}
    for name in counts:
        groups.setdefault(folded(name), []).append(name)
    same = [group for group in groups.values() if len(group) > 1]
    if same:
        shown = "; ".join(_named(group) for group in same[:_SHOWN])
        more = f" and {len(same) - _SHOWN} more" if len(same) > _SHOWN else ""
        yield Remark(
            kind="spelling",
            text=f"labels differ only in case or spaces: {shown}{more}",
            fix="data.label.merge_case=true makes them one",
        )
        return
    spaced = [name for name in counts if name != name.strip()]
    if spaced:
        yield Remark(
            kind="spelling",
            text=f"labels have spaces around them: {_named(spaced)}",
            fix="data.label.merge_case=true takes them off",
        )


def _as_many_as_rows(counts: Mapping[str, int], section: LabelSection) -> list[Remark]:
    """Most rows have a label of their own."""
    rows = sum(counts.values())
    if len(counts) < 3 or 2 * len(counts) <= rows:
        return []
    column = "" if section.column is None else f" in the column {section.column!r}"
    text = f"{len(counts):,} labels for {count(rows, 'text')}{column}: is this a label?"
    return [Remark(kind="many_labels", text=text, fix="data.label.column=COLUMN names the column of labels")]


def _single(dataset: Dataset) -> Iterator[Remark]:
    """Classes with one example to learn from, but for those whose names alone are wrong."""
    numbers = np.bincount(dataset.splits["train"].labels, minlength=len(dataset.label_names))
    spellings = Counter(map(folded, dataset.label_names))
    names = [dataset.label_names[index] for index in np.flatnonzero(numbers == 1)]
    names = [name for name in names if spellings[folded(name)] == 1 and folded(name) not in NO_LABEL]
    if names:
        classes = "one class has" if len(names) == 1 else f"{len(names)} classes have"
        it = "it" if len(names) == 1 else "them"
        yield Remark(
            kind="one_example",
            text=f"{classes} a single example in train: {_named(names)}",
            fix=f"add examples, or leave {it} out: {typed_list('data.label.missing', names[:_SHOWN])}",
        )


def _imbalance(counts: Mapping[str, int]) -> Iterator[Remark]:
    rows = sum(counts.values())
    name, most = max(counts.items(), key=lambda one: one[1])
    if most >= MAJORITY * rows:
        text = f"{most / rows:.1%} of the texts are {_named([name])}: always answering that is as accurate"
        yield Remark(kind="imbalance", text=text, fix="training.best_metric=f1 chooses the epoch by F1 instead")


def _order(names: Sequence[str], section: LabelSection) -> Iterator[Remark]:
    """Labels that are a scale: a classifier takes a near miss for as wrong as a far one."""
    if section.names is not None:
        return
    ordered = _scale(names, section.column or "")
    if ordered is None:
        return
    ends = f"{_named(ordered[:1])} to {_named(ordered[-1:])}"
    if all(map(is_number, ordered)) and section.column is not None:
        level = ordered[(len(ordered) + 1) // 2]
        fix = f"{typed_rating(section.column, level)} makes two classes of them"
    else:
        fix = f"{typed_list('data.label.names', ordered)} lists them in it"
    text = f"the labels {ends} have an order, which a classifier does not know"
    yield Remark(kind="order", text=text, fix=fix)


def _scale(names: Sequence[str], column: str) -> list[str] | None:
    """The labels in their order, if they are numbers of a scale or words of one; None if they are not."""
    if len(names) < 3:
        return None
    if all(map(is_number, names)):
        values = sorted(names, key=float)
        numbers = [float(value) for value in values]
        regular = len({round(after - before, 6) for before, after in pairwise(numbers)}) == 1
        # 0, 1, 2 ... are numbers of classes as well, unless the column's name tells.
        if regular and len(names) <= 11 and (numbers[0] != 0 or _ORDERED_NAMES.search(column)):
            return values
        return None
    by_word = {folded(name).replace("_", " ").replace("-", " "): name for name in names}
    for scale in _SCALES:
        if len(by_word) == len(names) and set(by_word) <= set(scale):
            return [by_word[word] for word in scale if word in by_word]
    counted = [re.fullmatch(r"(\d+)\s*(stars?|sterne?|points?|étoiles?|estrellas?)", folded(name)) for name in names]
    if all(counted):
        return sorted(names, key=lambda name: int(re.findall(r"\d+", name)[0]))
    return None


def _named(names: Sequence[str]) -> str:
    """'yes', 'no' and 3 more."""
    shown = ", ".join(repr(shortened(name, _NAME) if name == name.strip() else name[:_NAME]) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN:,} more"
