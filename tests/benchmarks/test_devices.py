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
    # 0.6 -> 0.5 are (to six decimals) 0.405 in logits; the third text was not predicted.
    row = devices.compare(evaluated, [("no", 0.8), ("no", 0.5)])
    assert row == {"texts": 2, "logit_difference": pytest.approx(np.log(0.6 / 0.4), abs=3e-6), "labels_differ": 1}


def test_what_six_decimals_cannot_show_is_no_difference() -> None:
    evaluated = Predictions.from_probabilities(
        split="validation",
        label_names=("no", "yes"),
        texts=["a"],
        labels=np.array([0]),
        rows=np.arange(1),
        probabilities_NC=np.array([[0.9999966, 0.0000034]]),
        ratings=None,
    )
    assert devices.compare(evaluated, [("no", 0.999997)])["logit_difference"] == 0
    assert devices.compare(evaluated, [("no", 0.999991)])["logit_difference"] > 0.8
