"""What a stage trains on."""

import numpy as np
import pyarrow as pa

from feathertune.data.example import Split
from feathertune.recipe.schema import LabelSection
from feathertune.run.stages import training_targets

TEXTS = pa.chunked_array([pa.array(["a", "b"])])
SHARES_NC = np.array([[0.5, 0.25, 0.25], [0, 1, 0]])


def split(ratings: np.ndarray | None = None, shares: np.ndarray | None = None) -> Split:
    return Split("train", np.array([1, 2]), TEXTS, np.array([0, 1]), ratings, shares=shares)


def test_the_classes_are_the_targets() -> None:
    assert training_targets(split(), LabelSection(column="label")).tolist() == [0, 1]


def test_shares_of_annotators_are_targets_for_any_number_of_classes() -> None:
    targets = training_targets(split(shares=SHARES_NC), LabelSection(column="label", annotators="soft"))
    assert targets.dtype == np.float32
    assert targets.tolist() == SHARES_NC.tolist()
    taken = split(shares=SHARES_NC).take(np.array([1]), "validation")
    assert taken.shares is not None
    assert taken.shares.tolist() == [[0, 1, 0]]


def test_a_soft_rating_is_the_probability_of_the_second_class() -> None:
    label = LabelSection(rating="rating", above=0.5, soft=True)
    assert training_targets(split(ratings=np.array([0.25, 1])), label).tolist() == [[0.75, 0.25], [0, 1]]
