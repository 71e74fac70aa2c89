import numpy as np
import pytest

from feathertune.prediction.predictions import Predictions
from feathertune.stats.probabilities import decide


def predictions(logits: list[list[float]], labels: list[int]) -> Predictions:
    logits_NC = np.array(logits, dtype=np.float32)
    return Predictions(
        split="validation",
        label_names=tuple("ABCDEF"[: logits_NC.shape[1]]),
        rows=np.arange(10, 10 + len(labels)),
        texts=["text"] * len(labels),
        labels=np.array(labels),
        ratings=None,
        logits_NC=logits_NC,
    )


def test_probabilities_are_the_softmax_even_of_large_logits() -> None:
    some = predictions([[1000.0, 1000.0], [0.0, np.log(3)]], [0, 1])
    np.testing.assert_allclose(some.probabilities_NC, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(some.losses, [np.log(2), -np.log(0.75)], rtol=1e-6)


def test_a_tie_is_positive_with_two_classes_and_the_first_with_more() -> None:
    assert predictions([[0.0, 0.0]], [0]).predicted.tolist() == [1]
    assert predictions([[0.0, 2.0, 2.0]], [0]).predicted.tolist() == [1]


def test_the_threshold_and_argmax_agree_except_on_ties() -> None:
    first = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    second = np.nextafter(first, np.where(np.arange(10_000) % 2 == 0, 9.0, -9.0).astype(np.float32))  # nearest misses
    some = predictions(np.stack([first, second], axis=1).tolist(), [0] * 10_000)
    distinct = some.probabilities_NC[:, 0] != some.probabilities_NC[:, 1]
    assert distinct.mean() > 0.99
    np.testing.assert_array_equal(some.predicted[distinct], some.logits_NC.argmax(axis=1)[distinct])


def test_predictions_from_probabilities_keep_every_bit() -> None:
    probabilities_NC = np.array([[0.1, 0.9], [1.0, 0.0]])
    model = predictions([[0.0, 0.0]] * 2, [1, 0])
    saved = Predictions.from_probabilities(
        split="test",
        label_names=model.label_names,
        rows=model.rows,
        texts=model.texts,
        labels=model.labels,
        ratings=None,
        probabilities_NC=probabilities_NC,
    )
    assert saved.probabilities_NC is probabilities_NC
    assert saved.predicted.tolist() == [1, 0]
    assert np.isfinite(saved.logits_NC).all()


def test_a_probability_of_zero_costs_708_nats_and_not_infinity() -> None:
    assert predictions([[0.0, 2000.0]], [0]).losses[0] == pytest.approx(708.4, abs=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_is_reported_by_its_row(bad: float) -> None:
    with pytest.raises(ValueError, match="row 11 of validation"):
        predictions([[0.0, 1.0], [bad, 0.0]], [0, 1]).check_finite()


def test_decide_accepts_no_examples() -> None:
    assert decide(np.zeros((0, 2))).shape == (0,)
    assert decide(np.zeros((0, 3))).shape == (0,)
