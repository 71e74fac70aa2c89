"""The built-in sample is as described: balanced, varied, in pairs, and its surface does not reveal the class."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from feathertune.data.sources import SAMPLE_FOLDER
from feathertune.data.text_keys import normalized

ERRORS = {"auxiliary", "agreement", "order", "keywords", "fragment", "typo", "word"}


def rows(split: str) -> list[dict[str, str]]:
    with (SAMPLE_FOLDER / f"{split}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


ALL = {split: rows(split) for split in ("train", "dev", "test")}
EVERY = [row for split in ALL.values() for row in split]


def test_there_are_enough_and_both_classes_in_about_equal_number() -> None:
    assert len(EVERY) >= 1200
    for split in ALL.values():
        share = sum(row["label"] == "well-formed" for row in split) / len(split)
        assert 0.45 < share < 0.55
        assert len(split) > 300


def test_rating_label_and_error_agree() -> None:
    for row in EVERY:
        good = row["label"] == "well-formed"
        assert row["rating"] == ("1.0" if good else "0.0")
        assert (row["error"] == "none") if good else (row["error"] in ERRORS)


def test_no_query_occurs_twice_in_any_form() -> None:
    counts = Counter(normalized(row["content"]).rstrip("?. ") for row in EVERY)
    assert [text for text, count in counts.items() if count > 1] == []


def test_many_queries_come_in_pairs_which_stay_in_one_split() -> None:
    members: dict[str, list[tuple[str, str]]] = {}
    for split, part in ALL.items():
        for row in part:
            members.setdefault(row["pair"], []).append((split, row["label"]))
    pairs = [pair for pair in members.values() if len(pair) == 2]
    assert len(pairs) * 2 > 0.8 * len(EVERY)
    for first, second in pairs:
        assert first[0] == second[0]
        assert {first[1], second[1]} == {"well-formed", "ill-formed"}


def test_every_kind_of_error_is_there_often() -> None:
    kinds = Counter(row["error"] for row in EVERY if row["error"] != "none")
    assert set(kinds) == ERRORS
    assert min(kinds.values()) >= 90


def test_no_two_queries_share_a_template() -> None:
    """No frame of five opening words is used for more than two well-formed queries."""
    frames = Counter(" ".join(normalized(row["content"]).split()[:5]) for row in EVERY if row["label"] == "well-formed")
    assert max(frames.values()) <= 2


@pytest.mark.parametrize(
    "surface",
    [
        lambda text: text.endswith("?"),
        lambda text: len(text) > 48,
        lambda text: len(text.split()) > 9,
        lambda text: text[0].isupper(),
        *(lambda text, word=word: text.lower().startswith(word + " ") for word in ("what", "how", "why", "is", "does")),
    ],
)
def test_the_surface_does_not_reveal_the_class(surface: object) -> None:
    assert callable(surface)
    shares = []
    for label in ("well-formed", "ill-formed"):
        texts = [row["content"] for row in EVERY if row["label"] == label]
        shares.append(sum(bool(surface(text)) for text in texts) / len(texts))
    assert abs(shares[0] - shares[1]) < 0.05
