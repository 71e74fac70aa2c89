import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score, roc_auc_score

from feathertune.evaluation.metrics import compute_metrics, majority_metrics
from feathertune.folders.metrics import Metrics
from feathertune.prediction.predictions import Predictions


def predictions(labels: list[int], logits: np.ndarray) -> Predictions:
    return Predictions(
        split="validation",
        label_names=tuple(f"c{index}" for index in range(logits.shape[1])),
        rows=np.arange(1, len(labels) + 1),
        texts=["text"] * len(labels),
        labels=np.array(labels),
        ratings=None,
        logits_NC=logits.astype(np.float32),
    )


def random_predictions(count: int, classes: int, seed: int = 0, decimals: int = 6) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    logits = rng.normal(size=(count, classes))
    logits[np.arange(count), labels] += 1.0
    return predictions(labels.tolist(), logits.round(decimals))


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("decimals", [6, 0])  # 0: many equal scores
def test_metrics_are_those_of_scikit_learn(classes: int, decimals: int) -> None:
    some = random_predictions(300, classes, decimals=decimals)
    metrics = compute_metrics(some, intervals=False)
    average = {"average": "binary" if classes == 2 else "macro"}
    assert metrics.accuracy == (some.labels == some.predicted).mean()
    assert metrics.precision == pytest.approx(precision_score(some.labels, some.predicted, **average))
    assert metrics.recall == pytest.approx(recall_score(some.labels, some.predicted, **average))
    assert metrics.f1 == pytest.approx(f1_score(some.labels, some.predicted, **average))
    assert metrics.loss == pytest.approx(log_loss(some.labels, some.probabilities_NC))
    scores = some.probabilities_NC[:, 1] if classes == 2 else some.probabilities_NC
    assert metrics.roc_auc == pytest.approx(roc_auc_score(some.labels, scores, multi_class="ovr"))
    assert sum(map(sum, metrics.confusion_matrix)) == 300
    assert metrics.per_class["c1"].support == (some.labels == 1).sum()


def test_two_classes_have_a_positive_one_and_a_threshold_and_more_have_neither() -> None:
    two, five = (compute_metrics(random_predictions(50, classes), intervals=False) for classes in (2, 5))
    assert (two.averaging, two.positive_label, two.threshold) == ("binary", "c1", 0.5)
    assert (five.averaging, five.positive_label, five.threshold) == ("macro", None, None)


@pytest.mark.parametrize("label", [0, 1])
def test_a_single_class_has_no_roc_auc_and_gives_no_warning(label: int) -> None:
    metrics = compute_metrics(predictions([label] * 5, np.tile([1.0, 0.0], (5, 1))))
    assert metrics.roc_auc is None
    assert metrics.intervals["roc_auc"] is None
    assert metrics.accuracy == 1 - label
    assert metrics.precision == metrics.recall == metrics.f1 == 0.0


def test_a_class_in_neither_labels_nor_predictions_does_not_count() -> None:
    some = predictions([0, 0, 1, 1], np.array([[2.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 2, 0]]))
    metrics = compute_metrics(some)
    assert (metrics.precision, metrics.recall, metrics.f1, metrics.roc_auc) == (1.0, 1.0, 1.0, 1.0)
    assert metrics.absent_classes == 1
    assert [metrics.occurs(name) for name in metrics.label_names] == [True, True, False]


def test_a_class_that_is_only_predicted_counts() -> None:
    metrics = compute_metrics(predictions([0, 0, 1, 1], np.array([[2.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2]])))
    assert metrics.f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert metrics.absent_classes == 0


@pytest.mark.parametrize("seed", range(8))
def test_macro_averages_are_those_of_scikit_learn_whatever_classes_are_absent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 12))
    occurring = rng.choice(classes, size=int(rng.integers(1, classes)), replace=False)
    count = int(rng.integers(1, 30))
    labels = rng.choice(occurring, size=count)
    logits = rng.normal(size=(count, classes))
    logits[np.arange(count), labels] += 4.0  # classes without examples are predicted now and then
    some = predictions(labels.tolist(), logits)
    metrics = compute_metrics(some)
    averages = {"average": "macro", "zero_division": 0.0}
    assert metrics.precision == pytest.approx(precision_score(some.labels, some.predicted, **averages), abs=1e-12)
    assert metrics.recall == pytest.approx(recall_score(some.labels, some.predicted, **averages), abs=1e-12)
    assert metrics.f1 == pytest.approx(f1_score(some.labels, some.predicted, **averages), abs=1e-12)
    assert metrics.absent_classes == classes - len(set(some.labels) | set(some.predicted))
    for name in ("precision", "recall", "f1"):
        if (interval := metrics.interval(name)) is not None:
            assert interval[0] <= metrics.value(name) <= interval[1]


def test_two_classes_leave_none_out() -> None:
    assert compute_metrics(predictions([0] * 5, np.tile([1.0, 0.0], (5, 1)))).absent_classes == 0


def test_a_file_of_an_earlier_version_counted_every_class() -> None:
    content = compute_metrics(random_predictions(20, 5)).to_json()
    del content["absent_classes"]
    assert Metrics.of({"format": 2, **content}, where="metrics.json").absent_classes == 0


def test_perfect_and_constant_scores() -> None:
    labels = [0, 1] * 10
    perfect = compute_metrics(predictions(labels, np.eye(2)[labels] * 50))
    assert (perfect.accuracy, perfect.f1, perfect.roc_auc) == (1.0, 1.0, 1.0)
    assert perfect.intervals["roc_auc"] is None
    assert perfect.intervals["accuracy"] == (pytest.approx(0.8389, abs=1e-4), 1.0)  # 20 out of 20 show that much
    constant = compute_metrics(predictions(labels, np.zeros((20, 2))))
    assert (constant.accuracy, constant.recall, constant.roc_auc) == (0.5, 1.0, 0.5)
    assert constant.intervals["roc_auc"] is None  # resamples do not vary, but that is no certainty


def test_metrics_survive_json() -> None:
    for some in (random_predictions(40, 2), random_predictions(40, 5), predictions([0], np.array([[1.0, 0.0]]))):
        content = compute_metrics(some).to_json()
        assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_the_json_has_the_keys_that_evaluate_prints() -> None:
    printed = compute_metrics(random_predictions(40, 2)).to_json()
    assert {"split", "num_examples", "loss", "accuracy", "precision", "recall", "f1", "roc_auc"} <= printed.keys()
    assert printed["threshold"] == 0.5
    assert printed["intervals"].keys() == {"loss", "accuracy", "precision", "recall", "f1", "roc_auc", "ece"}


def test_no_examples_and_bad_logits_are_refused() -> None:
    with pytest.raises(ValueError, match="no examples"):
        compute_metrics(predictions([], np.zeros((0, 2))))
    with pytest.raises(ValueError, match="row 2 of validation"):
        compute_metrics(predictions([0, 1], np.array([[0.0, 1.0], [np.nan, 0.0]])))


def test_the_majority_class_is_the_most_frequent_one_in_training() -> None:
    some = random_predictions(200, 2)
    baseline = majority_metrics(np.array([0, 0, 0, 1]), some)
    assert baseline.majority_label == "c0"
    assert baseline.accuracy == (some.labels == 0).mean()
    assert baseline.roc_auc == 0.5
    shares = np.where(some.labels == 0, 0.75, 0.25)
    assert baseline.loss == pytest.approx(-np.log(shares).mean())
    assert baseline.intervals == {}
    with pytest.raises(ValueError, match="no training labels"):
        majority_metrics(np.array([], dtype=np.int64), some)
