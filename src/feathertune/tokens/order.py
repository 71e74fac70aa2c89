"""The order of examples: a pure function of seed and epoch, so that a resumed run continues with the same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.tokens.tokenized import TokenizedTexts

_SORTED_TOKENS = 16  # sorting by the first tokens only; later differences matter little


def training_steps(num_examples: int, step_size: int, *, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """The examples of each optimizer step of one epoch: indices [<= step_size], each example once, in random order.

    Several processes share the examples of a step, so the steps do not depend on their number.
    """
    order = np.random.default_rng([seed, epoch]).permutation(num_examples).astype(np.int64)
    return [order[begin : begin + step_size] for begin in range(0, num_examples, step_size)]


def prediction_batches(
    texts: TokenizedTexts,
    indices: npt.NDArray[np.int64],
    token_budget: int,
    *,
    alphabetical: bool,
    length_class: int | None = None,
) -> Iterator[npt.NDArray[np.int64]]:
    """Batches of `indices` with at most `token_budget` tokens (or a single text), shortest texts first.

    Texts of similar length in one batch keep attention's padded matrices small. With `alphabetical`, texts of similar
    length (up to 16 tokens, 32, 64, ...) are also sorted by their beginnings, so that they can share tokens. With
    `length_class`, all lengths in a batch are equal when rounded up to a multiple of it.
    """
    lengths = texts.lengths[indices]
    if length_class is None:
        classes = np.ceil(np.log2(np.maximum(lengths, _SORTED_TOKENS)))
    else:
        classes = -(-lengths // length_class)
    order = _by_class_and_alphabet(texts, indices, classes) if alphabetical else np.argsort(lengths, kind="stable")
    begin, tokens = 0, 0
    for position, length in enumerate(lengths[order].tolist()):
        new_class = length_class is not None and position and classes[order[position]] != classes[order[position - 1]]
        if tokens and (tokens + length > token_budget or new_class):
            yield indices[order[begin:position]]
            begin, tokens = position, 0
        tokens += length
    if len(order):
        yield indices[order[begin:]]


def unique_texts(texts: TokenizedTexts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(the index of one copy of each different text, for every text its number among these)."""
    first_of: dict[bytes, int] = {}
    which = np.fromiter(
        (first_of.setdefault(texts[index].tobytes(), len(first_of)) for index in range(len(texts))),
        dtype=np.int64,
        count=len(texts),
    )
    return np.unique(which, return_index=True)[1].astype(np.int64), which


def _by_class_and_alphabet(
    texts: TokenizedTexts, indices: npt.NDArray[np.int64], classes_N: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """[N] int64: the order by length class, then by the first tokens."""
    lengths_N, slots_L = texts.lengths[indices], np.arange(_SORTED_TOKENS)
    real_NL = slots_L < lengths_N[:, None]
    positions_NL = np.minimum(texts.offsets[indices][:, None] + slots_L, len(texts.ids) - 1)
    tokens_NL = np.where(real_NL, texts.ids[positions_NL], -1)
    return np.lexsort((*tokens_NL.T[::-1], classes_N)).astype(np.int64)
