import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from feathertune.evaluation.metrics import compute_metrics
from feathertune.prediction.predictions import Predictions
from feathertune.stats import intervals, resampling
from feathertune.stats.calibration_error import expected_calibration_error
from feathertune.stats.intervals import RESAMPLES, Interval, wilson_interval
from feathertune.stats.resampling import METRIC_NAMES, Statistics, statistics_of


def predictions(labels: np.ndarray, logits: np.ndarray) -> Predictions:
    names = tuple(f"c{index}" for index in range(logits.shape[1]))
    rows = np.arange(1, len(labels) + 1)
    return Predictions("validation", names, rows, ["text"] * len(labels), labels, None, logits.astype(np.float32))


def random_predictions(rng: np.random.Generator, count: int, classes: int, decimals: int = 6) -> Predictions:
    labels = rng.integers(classes, size=count)
    logits = rng.normal(size=(count, classes))
    logits[np.arange(count), labels] += 1.0
    return predictions(labels, logits.round(decimals))


def statistics(some: Predictions) -> Statistics:
    return statistics_of(some.labels, some.predicted, some.probabilities_NC)


def confidence_intervals(some: Predictions, **options: object) -> dict[str, Interval | None]:
    return intervals.confidence_intervals(some.labels, some.predicted, some.probabilities_NC, **options)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("decimals", [6, 0])  # 0: many equal scores
@pytest.mark.parametrize("few_positives", [0, 256])  # the ranks, the matrix product
def test_weighted_metrics_are_those_of_scikit_learn_on_the_resampled_examples(
    classes: int, decimals: int, few_positives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "MAX_POSITIVES_BY_MATMUL", few_positives)
    rng = np.random.default_rng(0)
    some = random_predictions(rng, 120, classes, decimals)
    weights_BN = rng.multinomial(120, np.full(120, 1 / 120), size=10).astype(np.float32)
    values = statistics(some)(weights_BN)
    options = {"average": "binary"} if classes == 2 else {"average": "macro", "labels": range(classes)}
    for index, weights_N in enumerate(weights_BN):
        drawn = np.repeat(np.arange(120), weights_N.astype(int))
        labels, predicted, probabilities = some.labels[drawn], some.predicted[drawn], some.probabilities_NC[drawn]
        scores = probabilities[:, 1] if classes == 2 else probabilities
        expected = {
            "loss": some.losses[drawn].mean(),
            "accuracy": (labels == predicted).mean(),
            "precision": precision_score(labels, predicted, zero_division=0.0, **options),
            "recall": recall_score(labels, predicted, zero_division=0.0, **options),
            "f1": f1_score(labels, predicted, zero_division=0.0, **options),
            "roc_auc": roc_auc_score(labels, scores, multi_class="ovr"),
            "ece": expected_calibration_error(labels, probabilities),
        }
        assert {name: values[name][index] for name in METRIC_NAMES} == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 5])
def test_weights_of_one_give_the_metrics_and_the_intervals_contain_them(classes: int) -> None:
    some = random_predictions(np.random.default_rng(1), 200, classes)
    metrics = compute_metrics(some)
    values = statistics(some)(np.ones((1, 200), dtype=np.float32))
    for name in METRIC_NAMES:
        value = getattr(metrics, name)
        assert values[name][0] == pytest.approx(value)
        low, high = metrics.intervals[name]
        assert low < value < high


def test_the_same_predictions_give_the_same_intervals() -> None:
    some = random_predictions(np.random.default_rng(2), 100, 3)
    assert confidence_intervals(some, resamples=200) == confidence_intervals(some, resamples=200)
    assert confidence_intervals(some, resamples=200) != confidence_intervals(some, resamples=200, seed=1)


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (5, 5), (3, 7), (960, 1000)])
def test_wilson_is_that_of_scipy(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_without_trials_the_interval_is_all_of_0_to_1() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_a_single_class_a_single_example_and_equal_losses_are_no_trouble() -> None:
    single_class = confidence_intervals(predictions(np.zeros(30, dtype=np.int64), np.ones((30, 2))))
    assert single_class["roc_auc"] is None
    assert single_class["loss"] is None  # all lose ln 2, which says nothing about other examples
    single = confidence_intervals(predictions(np.array([1]), np.array([[0.0, 1.0, 2.0]])))
    assert single["roc_auc"] is None
    assert single["accuracy"] == pytest.approx(wilson_interval(0, 1))


def test_with_three_classes_all_right_only_the_accuracy_has_an_interval() -> None:
    labels = np.repeat([0, 1, 2], [10, 6, 4])
    found = confidence_intervals(predictions(labels, 5 * np.eye(3)[labels]))
    assert found["accuracy"] == pytest.approx(wilson_interval(20, 20))
    assert (found["precision"], found["recall"], found["f1"]) == (None, None, None)


def test_a_resample_without_a_class_does_not_count_for_roc_auc() -> None:
    labels = np.array([1] + [0] * 9)  # a third of the resamples have no positive
    low, high = confidence_intervals(predictions(labels, np.random.default_rng(0).normal(size=(10, 2))))["roc_auc"]
    assert 0 <= low < high <= 1


def covered_shares(
    names: tuple[str, ...] = METRIC_NAMES,
    *,
    classes: int = 2,
    size: int,
    draws: int,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[float]:
    """For each metric, how often the interval from `size` examples contains the value for very many examples."""
    rng = np.random.default_rng(seed)
    truth = compute_metrics(random_predictions(rng, 200_000, classes), intervals=False)
    covered = dict.fromkeys(names, 0)
    for _ in range(draws):
        found = confidence_intervals(random_predictions(rng, size, classes), names=names, resamples=resamples)
        for name, (low, high) in found.items():
            covered[name] += low <= getattr(truth, name) <= high
    return [count / draws for count in covered.values()]


def test_intervals_cover_the_truth_about_as_often_as_they_claim() -> None:
    shares = covered_shares(size=100, draws=400, seed=3, resamples=1000)
    assert all(0.90 <= share <= 0.99 for share in shares), shares  # the calibration error's are a little wide


def test_wilsons_intervals_contain_accuracy_and_f1_in_95_of_100() -> None:
    shares = covered_shares(("accuracy", "f1"), size=200, draws=2000, seed=6)
    assert all(0.93 <= share <= 0.97 for share in shares), shares


def test_intervals_of_macro_averages_cover_too() -> None:
    shares = covered_shares(classes=4, size=80, draws=200, seed=4, resamples=600)
    assert all(0.90 <= share <= 0.99 for share in shares), shares


def test_a_resample_averages_over_the_classes_that_occur_in_it_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    some = random_predictions(rng, 30, 12)
    weights_BN = rng.multinomial(30, np.full(30, 1 / 30), size=50).astype(np.float32)
    values = statistics(some)(weights_BN)["f1"]
    drawn = [np.repeat(np.arange(30), weights_N.astype(int)) for weights_N in weights_BN]
    expected = [f1_score(some.labels[one], some.predicted[one], average="macro", zero_division=0.0) for one in drawn]
    assert values == pytest.approx(expected)
    fewer = [len(set(some.labels[one]) | set(some.predicted[one])) < 12 for one in drawn]
    assert any(fewer), "a case in which it matters"
