"""The difference of two methods, from their `Predictions` to a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feathertune.prediction.predictions import Predictions
from feathertune.stats.paired import LEVEL, PairedDifference
from feathertune.stats.seeds import SeedPredictions
from feathertune.wording.metrics import LOWER_IS_BETTER, TITLES


def seed_predictions(runs: Sequence[Predictions]) -> SeedPredictions:
    """The predictions of one method's runs on the same split, one run for each seed.

    Raises ValueError where their examples differ.
    """
    first = runs[0]
    if not all(np.array_equal(first.labels, other.labels) for other in runs):
        raise ValueError("these predictions are not for the same examples")
    probability_SNC = np.stack([run.probabilities_NC for run in runs])
    return SeedPredictions(first.labels, probability_SNC, np.stack([run.predicted for run in runs]))


def difference_in_words(
    first_name: str, second_name: str, pair: PairedDifference, *, p_adjusted: float | None = None
) -> str:
    """A sentence without its full stop: which method is better and by how much, or that no difference was shown.

    A difference is shown where the interval excludes 0 and the p-value is below 5%.

    Args:
        p_adjusted: where several pairs are compared, the p-value after Holm's correction.
    """
    is_loss = pair.metric == "loss"
    unit, scale, digits = ("nats", 1.0, 4) if is_loss else ("points", 100.0, 1)
    low, high = scale * pair.low, scale * pair.high
    metric = "" if pair.metric == "accuracy" else f" in {TITLES[pair.metric]}"
    note = "; one seed, so only variation over examples" if pair.seeds == (1, 1) else ""
    shown_alone = (low > 0 or high < 0) and pair.p_value < LEVEL
    if not shown_alone or (p_adjusted is not None and p_adjusted >= LEVEL):
        corrected = " after correcting for the number of comparisons" if shown_alone else ""
        # + 0.0 turns '-0.0' into '0.0'
        interval = f"{round(low, digits) + 0.0:.{digits}f} to {round(high, digits) + 0.0:.{digits}f} {unit}"
        return f"no difference{metric} was shown between {first_name} and {second_name}{corrected} ({interval}{note})"
    if (low > 0) == (pair.metric in LOWER_IS_BETTER):  # the second is the better one
        first_name, second_name = second_name, first_name
    low, high = sorted((abs(low), abs(high)))
    size = f"{abs(scale * pair.difference):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f}{note})"
    return f"{first_name} is better than {second_name}{metric} by {size}"
