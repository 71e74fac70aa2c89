"""Each epoch has every example once, in an order that depends on the seed; each prediction has every text once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feathertune.tokens.order import prediction_batches, training_steps, unique_texts
from tiny import random_texts, token_rows


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_an_epoch_sees_each_example_once(count: int, step_size: int, seed: int, epoch: int) -> None:
    steps = training_steps(count, step_size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(steps).tolist()) == list(range(count))
    assert all(len(step) == step_size for step in steps[:-1])
    assert 1 <= len(steps[-1]) <= step_size
    again = training_steps(count, step_size, seed=seed, epoch=epoch)
    assert [step.tolist() for step in again] == [step.tolist() for step in steps]


def test_another_seed_or_epoch_gives_another_order() -> None:
    orders = {
        tuple(np.concatenate(training_steps(50, 8, seed=seed, epoch=epoch)).tolist())
        for seed in range(3)
        for epoch in range(1, 4)
    }
    assert len(orders) == 9


@given(st.lists(st.integers(1, 40), max_size=50), st.integers(1, 64), st.booleans())
def test_each_text_is_predicted_once_within_the_budget(lengths: list[int], budget: int, alphabetical: bool) -> None:
    texts = random_texts(lengths)
    indices = np.arange(len(lengths))[::-1].copy()
    batches = list(prediction_batches(texts, indices, budget, alphabetical=alphabetical))
    order = [index for batch in batches for index in batch.tolist()]
    assert sorted(order) == list(range(len(lengths)))
    if not alphabetical:
        assert order == sorted(order, key=lambda index: (lengths[index], -index))  # shortest first, ties as given
    for batch in batches:
        assert len(batch) == 1 or texts.lengths[batch].sum() <= budget
    for batch, following in pairwise(batches):
        assert texts.lengths[batch].sum() + lengths[following[0]] > budget, "one more would have fitted"


@pytest.mark.parametrize("budget", [1, 10_000])
def test_a_text_longer_than_the_budget_goes_alone(budget: int) -> None:
    texts = random_texts([300, 300])
    batches = [batch.tolist() for batch in prediction_batches(texts, np.arange(2), budget, alphabetical=False)]
    assert batches == ([[0], [1]] if budget == 1 else [[0, 1]])


def test_texts_that_begin_alike_are_neighbours_among_those_of_like_length() -> None:
    texts = token_rows([[5, 6, 7], [1], [5, 6], [1] * 20, [5, 2], [5, 6, 7, 8]])
    (batch,) = prediction_batches(texts, np.arange(6), 1000, alphabetical=True)
    assert batch.tolist() == [1, 4, 2, 0, 5, 3]


@given(st.lists(st.lists(st.integers(1, 2), min_size=1, max_size=3), max_size=12))
def test_equal_texts_are_one(rows: list[list[int]]) -> None:
    chosen, which = unique_texts(token_rows(rows))
    assert len(chosen) == len({tuple(row) for row in rows})
    assert [rows[index] for index in chosen[which]] == rows


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.booleans())
def test_with_a_length_class_only_texts_of_like_length_share_a_batch(lengths: list[int], alphabetical: bool) -> None:
    texts = random_texts(lengths)
    batches = list(prediction_batches(texts, np.arange(len(lengths)), 100, alphabetical=alphabetical, length_class=8))
    assert sorted(index for batch in batches for index in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len({-(-int(length) // 8) for length in texts.lengths[batch]}) == 1
