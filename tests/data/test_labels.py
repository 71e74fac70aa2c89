"""From the value in a row to a class."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feathertune.data.labels import (
    LabelReader,
    parse_rating,
    soft_targets,
)
from feathertune.data.spelling import label_name
from feathertune.errors import UserError
from feathertune.recipe.schema import LabelSection

FLOAT32_OF_0_8 = float(np.float32(0.8))
FLOAT32_OF_0_7 = float(np.float32(0.7))


def read_train(labels: LabelReader, values: list[object]) -> list[str]:
    """The final label names of train's values."""
    provisional = [labels.read(value)[0] for value in values]
    renumbered = labels.finalize()
    return [labels.names[renumbered[index]] for index in provisional]


def test_a_threshold_tolerates_float32_rounding() -> None:
    assert FLOAT32_OF_0_8 == 0.800000011920929
    at_least = LabelReader(LabelSection(rating="r", at_least=0.8))
    above = LabelReader(LabelSection(rating="r", above=0.8))
    assert [at_least.read(value)[0] for value in (FLOAT32_OF_0_8, "0.8", 0.79, 1)] == [1, 1, 0, 1]
    assert [above.read(value)[0] for value in (FLOAT32_OF_0_8, "0.8", 0.79, 1)] == [0, 0, 0, 1]
    assert FLOAT32_OF_0_7 < 0.7
    assert LabelReader(LabelSection(rating="r", at_least=0.7)).read(FLOAT32_OF_0_7)[0] == 1


@given(st.integers(0, 100), st.integers(0, 100))
def test_ratings_compare_as_they_were_written(rating: int, threshold: int) -> None:
    stored = float(np.float32(rating / 100))
    at_least = LabelReader(LabelSection(rating="r", at_least=threshold / 100))
    above = LabelReader(LabelSection(rating="r", above=threshold / 100))
    assert (at_least.read(stored)[0], above.read(stored)[0]) == (rating >= threshold, rating > threshold)


def test_a_rating_has_default_and_given_names() -> None:
    assert LabelReader(LabelSection(rating="r", above=0.5)).names == ("NEGATIVE", "POSITIVE")
    assert LabelReader(LabelSection(rating="r", above=0.5, names=("bad", "good"))).names == ("bad", "good")


def test_column_labels_are_sorted_by_letter_or_number() -> None:
    words, numbers = LabelReader(LabelSection(column="c")), LabelReader(LabelSection(column="c"))
    assert read_train(words, ["pear", "apple", "pear"]) == ["pear", "apple", "pear"]
    assert words.names == ("apple", "pear")
    assert read_train(numbers, [10, "2", 1, -3]) == ["10", "2", "1", "-3"]
    assert numbers.names == ("-3", "1", "2", "10")


def test_true_and_false_are_labels() -> None:
    labels = LabelReader(LabelSection(column="c"))
    assert read_train(labels, [True, False]) == ["true", "false"]


def test_given_names_order_the_classes() -> None:
    labels = LabelReader(LabelSection(column="c", names=("z", "a")))
    assert [labels.read(value)[0] for value in ("a", "z")] == [1, 0]
    assert labels.finalize().tolist() == [0, 1]


def test_given_names_may_name_the_numbers_of_the_column() -> None:
    labels = LabelReader(LabelSection(column="c", names=("NEGATIVE", "POSITIVE")))
    assert [labels.read(value)[0] for value in (0, "1", "POSITIVE", "1.0", 0.0)] == [0, 1, 1, 1, 0]
    for value in (2, "01", -1):
        with pytest.raises(ValueError, match="unknown label"):
            labels.read(value)
    with pytest.raises(ValueError, match="unknown label '0'"):  # the names are numbers themselves: no second meaning
        LabelReader(LabelSection(column="c", names=("1", "2"))).read(0)


def test_an_unknown_label_names_the_nearest() -> None:
    labels = LabelReader(LabelSection(column="c"))
    read_train(labels, ["positive", "negative"])
    with pytest.raises(ValueError, match="unknown label 'postive'; did you mean 'positive'"):
        labels.read("postive")
    with pytest.raises(ValueError, match="unknown label 'zzz'; the labels are 'negative', 'positive'"):
        labels.read("zzz")


def test_one_label_is_too_few_and_a_thousand_and_one_too_many() -> None:
    one, many = LabelReader(LabelSection(column="c")), LabelReader(LabelSection(column="c"))
    one.read("x")
    with pytest.raises(UserError, match="needs two labels"):
        one.finalize()
    for number in range(1000):
        many.read(number)
    with pytest.raises(UserError, match="more than 1000 different values"):
        many.read(1000)


@pytest.mark.parametrize(
    "value", ["x", "", " 0.5", "0,5", "1_0", "nan", "inf", "1e999", "\u0661", None, True, [1], float("nan"), 10**400]
)
def test_invalid_ratings(value: object) -> None:
    with pytest.raises(ValueError, match="the rating"):
        parse_rating(value)


@pytest.mark.parametrize(
    ("value", "rating"), [("1", 1.0), ("-.5", -0.5), ("2.", 2.0), ("1e-3", 0.001), (Decimal("0.2"), 0.2)]
)
def test_valid_ratings(value: object, rating: float) -> None:
    assert parse_rating(value) == rating


def test_a_soft_rating_is_a_probability() -> None:
    labels = LabelReader(LabelSection(rating="r", above=0.5, soft=True))
    assert labels.read(FLOAT32_OF_0_8) == (1, FLOAT32_OF_0_8)
    with pytest.raises(ValueError, match="between 0 and 1"):
        labels.read(1.01)
    assert LabelReader(LabelSection(rating="r", above=3)).read(5) == (1, 5.0)


def test_soft_targets_are_the_ratings_or_the_votes_of_more_raters() -> None:
    ratings_N = np.array([0.0, 0.6, FLOAT32_OF_0_8, 1.0000001])
    plain_N2 = soft_targets(ratings_N, LabelSection(rating="r", at_least=0.8, soft=True))
    np.testing.assert_allclose(plain_N2, [[1, 0], [0.4, 0.6], [0.2, 0.8], [0, 1]], atol=1e-6)
    # 4 or 5 yes votes of 5, each with probability 0.6: 5 x 0.6^4 x 0.4 + 0.6^5; with 0.8: 5 x 0.8^4 x 0.2 + 0.8^5
    again_N2 = soft_targets(ratings_N, LabelSection(rating="r", at_least=0.8, soft=True, raters=5))
    np.testing.assert_allclose(again_N2[:, 1], [0, 0.33696, 0.73728, 1], atol=1e-6)
    above_N2 = soft_targets(ratings_N, LabelSection(rating="r", above=0.8, soft=True, raters=5))
    np.testing.assert_allclose(above_N2[:, 1], [0, 0.6**5, 0.8**5, 1], atol=1e-6)
    assert plain_N2.dtype == np.float32


@pytest.mark.parametrize("value", [None, "", 0.5, [], ["a", "b"], {"a": 1}])
def test_invalid_labels(value: object) -> None:
    with pytest.raises(ValueError, match=r"the label|several labels"):
        label_name(value)
