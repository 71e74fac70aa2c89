"""From two methods' predictions to a sentence about their difference."""

import numpy as np
import pytest

from feathertune.evaluation.differences import difference_in_words, seed_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.stats.paired import PairedDifference


def predictions(labels: list[int], seed: int = 0) -> Predictions:
    logits = np.random.default_rng(seed).normal(size=(len(labels), 2)).astype(np.float32)
    rows = np.arange(len(labels))
    return Predictions("validation", ("no", "yes"), rows, ["text"] * len(labels), np.array(labels), None, logits)


def test_the_runs_of_a_method_are_stacked_by_seed() -> None:
    runs = [predictions([0, 1, 1], seed) for seed in (0, 1)]
    stacked = seed_predictions(runs)
    assert stacked.seeds == 2
    assert stacked.label_N.tolist() == [0, 1, 1]
    for seed, run in enumerate(runs):
        assert stacked.predicted(seed).tolist() == run.predicted.tolist()
        np.testing.assert_array_equal(stacked.probability_SNC[seed], run.probabilities_NC)
    with pytest.raises(ValueError, match="predictions are not for the same examples"):
        seed_predictions([predictions([0, 1, 1]), predictions([0, 1, 0])])


def difference(low: float, value: float, high: float, **others: object) -> PairedDifference:
    content = {"metric": "accuracy", "p_value": 0.001 if low * high > 0 else 0.4, "mcnemar": (), "seeds": (3, 3)}
    return PairedDifference(**(content | {"difference": value, "low": low, "high": high} | others))


def test_sentences() -> None:
    better = difference(0.038, 0.051, 0.064)
    assert (
        difference_in_words("LoRA", "head-only training", better)
        == "LoRA is better than head-only training by 5.1 points (3.8 to 6.4)"
    )
    worse = difference(-0.064, -0.051, -0.038)
    assert difference_in_words("head-only training", "LoRA", worse) == difference_in_words(
        "LoRA", "head-only training", better
    )
    none = difference(-0.004, 0.003, 0.010)
    assert difference_in_words("A", "B", none) == "no difference was shown between A and B (-0.4 to 1.0 points)"
    many = difference_in_words("A", "B", better, p_adjusted=0.06)
    assert (
        many
        == "no difference was shown between A and B after correcting for the number of comparisons (3.8 to 6.4 points)"
    )
    one = difference_in_words("A", "B", difference(0.038, 0.051, 0.064, seeds=(1, 1)))
    assert one == "A is better than B by 5.1 points (3.8 to 6.4; one seed, so only variation over examples)"
    loss = difference(0.01, 0.02, 0.03, metric="loss")
    assert difference_in_words("A", "B", loss) == "B is better than A in loss by 0.0200 nats (0.0100 to 0.0300)"
