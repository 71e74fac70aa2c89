"""Metrics that have no value on a validation split are refused before anything is chosen by them."""

import numpy as np
import pytest

from feathertune.errors import UserError
from feathertune.evaluation.defined import check_maximized, check_metric
from feathertune.recipe.evaluation import EvaluationSection

TWO, FOUR = ("no", "yes"), ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("metric", "labels", "names", "lacking"),
    [
        ("roc_auc", [0, 0, 0], TWO, "'yes'"),
        ("roc_auc", [1], TWO, "'no'"),
        ("roc_auc", [2, 2], FOUR, "another class"),
        ("f1", [0, 0], TWO, "'yes'"),
        ("recall", [0, 0], TWO, "'yes'"),
        ("precision", [0, 0], TWO, "'yes'"),
    ],
)
def test_an_undefined_metric_is_refused_with_what_is_missing(
    metric: str, labels: list[int], names: tuple[str, ...], lacking: str
) -> None:
    with pytest.raises(UserError) as error:
        check_metric(metric, np.array(labels), names)
    assert error.value.where == "training.best_metric"
    assert error.value.what.startswith(f"{metric} is undefined on validation")
    assert error.value.what.endswith(f"none of {lacking}")


@pytest.mark.parametrize(
    ("metric", "labels", "names"),
    [
        ("accuracy", [0, 0], TWO),
        ("loss", [0], TWO),
        ("f1", [1, 1], TWO),
        ("f1", [2, 2], FOUR),
        ("roc_auc", [0, 3], FOUR),
    ],
)
def test_a_defined_metric_is_not(metric: str, labels: list[int], names: tuple[str, ...]) -> None:
    check_metric(metric, np.array(labels), names)


@pytest.mark.parametrize(
    ("metric", "labels", "refused"),
    [
        ("accuracy", [0, 0], False),
        ("f1", [1, 1], False),
        ("f1", [0, 0], True),
        ("balanced_accuracy", [0, 0], True),
        ("balanced_accuracy", [1, 1], True),
        ("balanced_accuracy", [0, 1], False),
    ],
)
def test_a_threshold_is_not_chosen_by_an_undefined_metric(metric: str, labels: list[int], refused: bool) -> None:
    section = EvaluationSection.model_validate({"threshold": {"maximize": metric}})
    if not refused:
        check_maximized(section, np.array(labels), TWO)
        return
    with pytest.raises(UserError, match=f"{metric} is undefined on validation") as error:
        check_maximized(section, np.array(labels), TWO)
    assert error.value.where == "evaluation.threshold"


def test_a_fixed_threshold_needs_no_examples() -> None:
    check_maximized(EvaluationSection(threshold=0.3), np.array([0]), TWO)
