"""In which order examples are seen: a pure function of seed and epoch, so that a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def training_steps(
    num_examples: int, step_size: int, *, seed: int, epoch: int, world_size: int = 1
) -> list[npt.NDArray[np.int64]]:
    """The examples of each optimizer step of one epoch: indices [<= step_size], every example once, freshly shuffled.

    A last step with fewer examples than processes is filled up from the epoch's beginning, since a process without
    an example would leave the others waiting for its gradient.
    """
    order = np.random.default_rng([seed, epoch]).permutation(num_examples).astype(np.int64)
    steps = [order[begin : begin + step_size] for begin in range(0, num_examples, step_size)]
    if len(steps[-1]) < world_size:
        steps[-1] = np.concatenate([steps[-1], np.resize(order, world_size - len(steps[-1]))])
    return steps


def prediction_batches(lengths: npt.NDArray[np.int64], token_budget: int) -> Iterator[npt.NDArray[np.int64]]:
    """Index batches of at most `token_budget` tokens (or one text), shortest texts first.

    Neighbours of like length keep attention's padded square small. Ties keep the given order.
    """
    order = np.argsort(lengths, kind="stable").astype(np.int64)
    begin, tokens = 0, 0
    for position, index in enumerate(order):
        length = int(lengths[index])
        if tokens and tokens + length > token_budget:
            yield order[begin:position]
            begin, tokens = position, 0
        tokens += length
    if len(order):
        yield order[begin:]
