"""The validation split that is made from train."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feathertune.data.example import Split
from feathertune.data.loading import load_dataset
from feathertune.data.text_keys import text_keys
from feathertune.data.validation_split import split_validation
from feathertune.errors import UserError
from rated import section


def make_split(texts: list[str], labels: list[int]) -> Split:
    rows = np.arange(1, len(texts) + 1)
    return Split("train", rows, pa.chunked_array([pa.array(texts, pa.string())]), np.array(labels), None)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 2)), min_size=12, max_size=80),
    st.integers(0, 2**32 - 1),
)
def test_copies_of_a_text_never_end_on_both_sides(examples: list[tuple[str, int]], seed: int) -> None:
    texts = [text.upper() if index % 2 else f" {text}\u3000" for index, (text, _) in enumerate(examples)]
    split = make_split(texts, [label for _, label in examples])
    try:
        train, validation = split_validation(split, 0.3, seed)
    except UserError:
        assert len({text for text, _ in examples}) < 6  # every class is one text, or its texts are all too many
        return
    assert not set(text_keys(train.texts).tolist()) & set(text_keys(validation.texts).tolist())
    assert len(train) + len(validation) == len(split)


def test_the_made_split_does_not_depend_on_the_order_of_rows() -> None:
    texts, labels = [f"text {n}" for n in range(100)], [n % 2 for n in range(100)]
    _, forwards = split_validation(make_split(texts, labels), 0.2, 7)
    _, backwards = split_validation(make_split(texts[::-1], labels[::-1]), 0.2, 7)
    assert sorted(forwards.texts.to_pylist()) == sorted(backwards.texts.to_pylist())


def test_too_few_examples_to_split_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\trating\na\t0\nb\t1\n")
    with pytest.raises(UserError, match="2 examples are too few to make a validation split"):
        load_dataset(section(tmp_path), seed=0)
