"""Titles and values of metrics."""

import pytest

from feathertune.wording.metrics import TITLES, metric_change, metric_interval, metric_title, metric_value
from feathertune.wording.numbers import DASH


def test_a_title_names_the_class_that_the_metric_is_of() -> None:
    assert metric_title("f1", "POSITIVE", macro=False) == "F1 of POSITIVE"
    assert metric_title("f1", None, macro=True) == "F1 (macro)"
    assert metric_title("roc_auc", None, macro=True) == "ROC AUC (macro)"
    assert metric_title("roc_auc", "POSITIVE", macro=False) == "ROC AUC"
    assert metric_title("loss", "POSITIVE", macro=False) == "loss (nats)"


@pytest.mark.parametrize(
    ("name", "value", "interval", "change", "written"),
    [
        ("loss", 0.48012, (0.39891, 0.578), -0.21234, ("0.4801", "0.3989 to 0.5780", "-0.2123")),
        ("accuracy", 0.7898, (0.743, 0.83), 0.2553, ("79.0%", "74.3 to 83.0%", "+25.5 pts")),
        ("f1", 0.5, (0.5, 1.0), -0.0001, ("50.0%", "50.0 to 100.0%", "+0.0 pts")),
    ],
)
def test_a_loss_is_in_nats_and_all_others_in_percent(
    name: str, value: float, interval: tuple[float, float], change: float, written: tuple[str, str, str]
) -> None:
    assert (metric_value(name, value), metric_interval(name, interval), metric_change(name, change)) == written


def test_what_is_undefined_is_a_dash() -> None:
    for name in TITLES:
        assert (metric_value(name, None), metric_interval(name, None), metric_change(name, None)) == (DASH,) * 3
