"""The headline: what is significant and what is not, and that it never claims more than the intervals allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from changed_runs import CROSS_FITTED, facts_of, ptq_facts, quantized_facts, with_metrics
from feathertune.report.headline import Headline, caveat, headline, quantization_effect


def test_a_model_that_learned_is_better(tmp_path: Path) -> None:
    result = headline(facts_of(tmp_path))
    assert result.verdict == "better"
    assert result.title.startswith("Better: ")
    assert "up from" in result.title
    assert "points higher than the" in result.sentences[1]
    assert "before training" in result.sentences[1]
    assert "of always predicting" in result.sentences[1]


def test_a_model_that_learned_nothing_is_not_called_better(tmp_path: Path) -> None:
    result = headline(facts_of(tmp_path, skill=0.0))
    assert result.verdict == "unclear"
    assert result.title.startswith("No clear improvement")
    assert result.sentences[1].startswith("The difference from the ")
    assert "before training is not statistically significant (" in result.sentences[1]
    assert "; nor is the difference from the" in result.sentences[1]


def test_a_model_that_learned_the_opposite_is_worse(tmp_path: Path) -> None:
    result = headline(facts_of(tmp_path, skill=-3.0))
    assert result.verdict == "worse"
    assert result.title.startswith("Worse: ")
    assert "points lower than the" in result.sentences[1]
    assert "before training" in result.sentences[1]


def test_without_prediction_files_the_interval_of_the_accuracy_decides(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    for path in (tmp_path / "predictions").iterdir():
        path.unlink()
    assert facts.predictions == {}
    assert headline(facts).verdict == "better"


def test_without_an_interval_nothing_is_claimed(tmp_path: Path) -> None:
    result: Headline = headline(with_metrics(facts_of(tmp_path), "after", intervals={}))
    assert result.verdict == "unknown"
    assert "better" not in result.title.lower()


def test_figures_that_chose_their_own_threshold_are_replaced_by_cross_fitted_ones(tmp_path: Path) -> None:
    facts = with_metrics(facts_of(tmp_path), "after", cross_fitted=CROSS_FITTED)
    assert "51.2%" in headline(facts).title
    assert headline(facts).verdict != "better"


@pytest.mark.parametrize(("split", "epochs", "expected"), [("validation", 3, True), ("validation", 1, False)])
def test_validation_that_chose_the_epoch_is_optimistic(tmp_path: Path, split: str, epochs: int, expected: bool) -> None:
    assert (caveat(facts_of(tmp_path, split=split, epochs=epochs)) is not None) == expected


def test_before_training_is_cross_fitted_as_well(tmp_path: Path) -> None:
    cross_fitted = {**CROSS_FITTED, "accuracy": 0.432, "intervals": {}}
    facts = with_metrics(facts_of(tmp_path), "before", cross_fitted=cross_fitted)
    assert "up from 43.2%" in headline(facts).title


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ({"epochs": 3, "same_data": True}, "The run that this one started from chose its best epoch on validation"),
        (None, "If the run that this one started from chose its best epoch on these validation examples"),
        ({"epochs": 1, "same_data": True}, None),
        ({"epochs": 3, "same_data": False}, None),
    ],
)
def test_a_quantized_run_is_as_optimistic_as_the_run_it_started_from(
    tmp_path: Path, start: dict[str, object] | None, expected: str | None
) -> None:
    facts = ptq_facts(tmp_path, **({} if start is None else {"start": start}))
    sentence = caveat(facts)
    assert sentence is None if expected is None else sentence is not None and sentence.startswith(expected)


def test_the_second_training_chose_on_validation_too(tmp_path: Path) -> None:
    numbers = {"epochs": 2, "best_epoch": 1, "train_seconds": 1.0, "train_examples_per_second": 1.0}
    sentence = caveat(quantized_facts(tmp_path, training=numbers, **numbers))
    assert sentence is not None
    assert sentence.startswith("The best epoch was chosen on these validation examples")


def test_the_quantized_model_is_compared_with_float32(tmp_path: Path) -> None:
    sentence = quantization_effect(facts_of(tmp_path / "quantized", method="qat", quantized=True))
    assert sentence is not None
    assert "int8 model" in sentence
    assert "float32 model" in sentence
    assert quantization_effect(facts_of(tmp_path / "plain")) is None
