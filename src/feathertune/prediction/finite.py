"""Logits that are numbers: a model whose weights are damaged gives others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from feathertune.errors import TextError


def check_logits(logits_NC: npt.NDArray[np.float32], place: Callable[[int], str]) -> None:
    """Raise a TextError if a logit is NaN or infinite, naming the first text by `place`, which gets its index."""
    broken_N = ~np.isfinite(logits_NC).all(axis=1)
    if broken_N.any():
        first = int(broken_N.argmax())
        what = f"the model's logits are not finite for {int(broken_N.sum())} of {len(logits_NC)} texts"
        raise TextError(
            what,
            first,
            where=place(first),
            fix="If this happened in training, the run diverged: lower training.learning_rate. Otherwise the "
            "weights are damaged.",
            of_model=True,
        )
