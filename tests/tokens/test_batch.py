"""Packing, compared with packing one token at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from feathertune.tokens.batch import pack
from tiny import random_texts, token_rows

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@settings(deadline=None)
@given(LENGTHS, st.data())
def test_packing_is_laying_sequences_end_to_end(lengths: list[int], data: st.DataObject) -> None:
    texts = random_texts(lengths)
    order = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=12))  # any order, repeats too
    batch = pack(texts, np.array(order, dtype=np.int64))
    packing = batch.packing

    ids, positions, starts, slots = [], [], [], []
    longest = max(lengths[index] for index in order)
    longest = 16 if 8 < longest < 16 else longest
    for sequence, index in enumerate(order):
        starts.append(len(ids))
        for position, token in enumerate(texts[index].tolist()):
            ids.append(token)
            positions.append(position)
            slots.append(sequence * longest + position)

    assert len(batch) == len(order)
    assert batch.indices_B.tolist() == order
    assert batch.ids_T.tolist() == ids
    assert batch.positions_T.tolist() == positions
    assert packing.starts_B.tolist() == starts
    assert packing.lengths_B.tolist() == [lengths[index] for index in order]
    assert packing.ends_B.tolist() == [*(start - 1 for start in starts[1:]), len(ids) - 1]
    assert packing.longest == longest
    assert packing.to_packed_T.tolist() == slots
    for row, index, start in zip(packing.from_packed_BL.tolist(), order, starts, strict=True):
        assert row == [start + min(slot, lengths[index] - 1) for slot in range(longest)]


@pytest.mark.parametrize(("longest", "slots"), [(1, 1), (8, 8), (9, 16), (15, 16), (16, 16), (17, 17)])
def test_lengths_for_which_softmax_is_slow_are_rounded_up(longest: int, slots: int) -> None:
    packing = pack(random_texts([longest, 1]), np.arange(2)).packing
    assert (packing.longest, packing.from_packed_BL.shape) == (slots, (2, slots))


@settings(deadline=None)
@given(LENGTHS)
def test_padding_and_packing_again_changes_nothing(lengths: list[int]) -> None:
    batch = pack(random_texts(lengths), np.arange(len(lengths)))
    padded_BL = batch.ids_T[batch.packing.from_packed_BL]
    assert torch.equal(padded_BL.flatten()[batch.packing.to_packed_T], batch.ids_T)


def test_all_tensors_are_int64_and_move_to_a_device() -> None:
    batch = pack(random_texts([2, 3]), np.array([1, 0])).to(torch.device("cpu"))
    tensors = [batch.ids_T, batch.positions_T, *vars(batch.packing).values()]
    assert all(tensor.dtype == torch.int64 for tensor in tensors if isinstance(tensor, torch.Tensor))
    meta = batch.to(torch.device("meta"))
    assert meta.ids_T.is_meta
    assert meta.packing.from_packed_BL.is_meta
    assert meta.indices_B is batch.indices_B


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 2), min_size=1, max_size=5), min_size=1, max_size=8), st.sampled_from([1, 8]))
def test_shared_prefixes_are_stored_once(rows: list[list[int]], multiple: int) -> None:
    batch = pack(token_rows(rows), np.arange(len(rows)), share_prefixes=True, multiple=multiple)
    packing, longest = batch.packing, max(map(len, rows))
    prefixes = {tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)}
    assert len(batch.ids_T) == -(-max(len(prefixes), len(rows)) // multiple) * multiple
    tokens_of = {}
    for row, tokens in zip(rows, packing.from_packed_BL.tolist(), strict=True):
        assert tokens == tokens[: len(row)] + [tokens[len(row) - 1]] * (longest - len(row))
        for position, token in enumerate(tokens[: len(row)]):
            assert batch.ids_T[token] == row[position]
            assert batch.positions_T[token] == position
            assert tokens_of.setdefault(tuple(row[: position + 1]), token) == token
    assert sorted(tokens_of.values()) == list(range(len(prefixes)))
    assert packing.ends_B.tolist() == [tokens_of[tuple(row)] for row in rows]
    slots_S = packing.from_packed_BL.flatten()
    assert slots_S[packing.to_packed_T[: len(prefixes)]].tolist() == list(range(len(prefixes)))


def test_the_number_of_tokens_is_rounded_up_to_a_multiple() -> None:
    texts = random_texts([3, 2])
    filled, plain = pack(texts, np.arange(2), multiple=8), pack(texts, np.arange(2))
    assert filled.ids_T.tolist() == [*plain.ids_T.tolist(), 0, 0, 0]
    assert torch.equal(filled.packing.from_packed_BL, plain.packing.from_packed_BL)
