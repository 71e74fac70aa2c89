"""What the table of emulated processors compares."""

import numpy as np
import pytest

import devices
from feathertune.prediction.predictions import Predictions


def test_a_row_has_the_largest_logit_difference_and_the_labels_that_differ() -> None:
    evaluated = Predictions.from_probabilities(
        split="validation",
        label_names=("no", "yes"),
        texts=["a", "b", "c"],
        labels=np.array([0, 1, 1]),
        rows=np.arange(3),
        probabilities_NC=np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]),
        ratings=None,
    )
    # 0.6 -> 0.5 are 0.405 in logits; the third text was not predicted.
    row = devices.compare(evaluated, [("no", 0.8), ("no", 0.5)])
    assert row == {"texts": 2, "logit_difference": pytest.approx(np.log(0.6 / 0.4)), "labels_differ": 1}
