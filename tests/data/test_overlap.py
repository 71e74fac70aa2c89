"""Texts that occur more than once."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feathertune.data.example import Dataset, Split
from feathertune.data.overlap import find_overlap
from feathertune.data.text_keys import normalized, text_keys


def make_dataset(**splits: list[tuple[str, int]]) -> Dataset:
    """Splits of (text, label); rows are numbered from 1."""
    made = {
        name: Split(
            name=name,
            rows=np.arange(1, len(examples) + 1),
            texts=pa.chunked_array([pa.array([text for text, _ in examples], pa.string())]),
            labels=np.array([label for _, label in examples]),
            ratings=None,
            file=f"{name}.tsv",
        )
        for name, examples in splits.items()
    }
    return Dataset(made, ("no", "yes"), "made up", {"files": {}})


@pytest.mark.parametrize(
    ("one", "other"),
    [("Straße", "STRASSE"), ("café", "cafe\u0301"), (" a\tb\u3000c ", "A b C"), ("ΐ", "\u0399\u0308\u0301")],
)
def test_texts_that_look_the_same_are_the_same(one: str, other: str) -> None:
    assert normalized(one) == normalized(other)


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("a?", "a"), ("resume", "résumé"), ("x²", "x2")])
def test_texts_that_differ_differ(one: str, other: str) -> None:
    assert normalized(one) != normalized(other)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_normalizing_twice_changes_nothing(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)
    assert normalized(unicodedata.normalize("NFD", text)) == normalized(text)


def test_duplicates_and_conflicts_within_a_split() -> None:
    dataset = make_dataset(train=[("one", 0), ("two", 1), ("ONE", 0), ("three", 1), ("Two ", 0), ("one", 0)])
    duplicates = find_overlap(dataset).duplicates["train"]
    assert (duplicates.rows, duplicates.conflicts) == (3, 1)
    conflict, plain = duplicates.examples  # conflicts first
    assert (conflict.text, conflict.places, conflict.labels) == ("two", ("train.tsv:2", "train.tsv:5"), ("yes", "no"))
    assert (plain.text, plain.places) == ("one", ("train.tsv:1", "train.tsv:3", "train.tsv:6"))


def test_leaks_between_each_two_splits() -> None:
    dataset = make_dataset(
        train=[("a", 0), ("b", 1)], validation=[("c", 0), ("A", 1)], test=[("b ", 1), ("B", 1), ("d", 0)]
    )
    first, second = find_overlap(dataset).leaks
    assert (first.first, first.second, first.rows) == ("train", "validation", 1)
    assert (first.examples[0].places, first.examples[0].labels) == (("train.tsv:1", "validation.tsv:2"), ("no", "yes"))
    assert (second.first, second.second, second.rows) == ("train", "test", 2)


def test_at_most_five_examples_are_kept() -> None:
    dataset = make_dataset(
        train=[(f"text {n % 20}", 0) for n in range(200)], test=[(f"text {n}", 1) for n in range(20)]
    )
    overlap = find_overlap(dataset)
    assert len(overlap.duplicates["train"].examples) == len(overlap.leaks[0].examples) == 5
    assert len(overlap.duplicates["train"].examples[0].places) == 5
    assert (overlap.duplicates["train"].rows, overlap.leaks[0].rows) == (180, 20)


def test_copies_are_counted_among_a_hundred_thousand_rows() -> None:
    dataset = make_dataset(train=[(f"how many texts are there in number {n % 90_000} ?", 0) for n in range(100_000)])
    assert find_overlap(dataset).duplicates["train"].rows == 10_000


def test_keys_do_not_depend_on_chunks() -> None:
    texts = ["a", "b", "ä", "a"]
    joined = text_keys(pa.chunked_array([texts]))
    assert joined.tolist() == text_keys(pa.chunked_array([texts[:1], texts[1:]])).tolist()
    assert joined.dtype == np.uint64
    assert joined[0] == joined[3] != joined[1]
