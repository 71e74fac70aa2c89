"""The headline: what is shown, what is not shown, and that it never claims more than the intervals allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from changed_runs import facts_of, nothing_trained, rounded_facts
from feathertune.report.answer import (
    Answer,
    answer,
    caveat,
    rounding,
)


def test_a_model_that_learned_is_better(tmp_path: Path) -> None:
    found = answer(facts_of(tmp_path))
    assert found.verdict == "better"
    assert found.headline.startswith("Yes, it is better: ")
    assert "points more than before training" in found.sentences[1]
    assert "more than always answering" in found.sentences[1]


def test_a_model_that_learned_nothing_is_not_shown_to_be_better(tmp_path: Path) -> None:
    found = answer(facts_of(tmp_path, skill=0.0))
    assert found.verdict == "not shown"
    assert found.headline.startswith("No improvement was shown")
    assert "No difference was shown from before training" in found.sentences[1]


def test_a_model_that_learned_the_opposite_is_worse(tmp_path: Path) -> None:
    found = answer(facts_of(tmp_path, skill=-3.0))
    assert found.verdict == "worse"
    assert found.headline.startswith("No, it is worse")
    assert "points fewer than before training" in found.sentences[1]


def test_without_prediction_files_the_interval_of_the_accuracy_decides(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    for path in (tmp_path / "predictions").iterdir():
        path.unlink()
    assert facts.predictions == {}
    assert answer(facts).verdict == "better"


def test_without_an_interval_nothing_is_claimed(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    facts.summary["after"]["validation"]["intervals"] = {}
    found: Answer = answer(facts)
    assert found.verdict == "unknown"
    assert "better" not in found.headline


def test_figures_that_chose_their_own_threshold_are_replaced_by_fair_ones(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    after = facts.summary["after"]["validation"]
    after["cross_fitted"] = {"accuracy": 0.512, "loss": 0.7, "f1": 0.5, "intervals": {"accuracy": [0.45, 0.57]}}
    assert "51.2%" in answer(facts).headline
    assert answer(facts).verdict != "better"


@pytest.mark.parametrize(("split", "epochs", "told"), [("validation", 3, True), ("validation", 1, False)])
def test_validation_that_chose_the_epoch_flatters(tmp_path: Path, split: str, epochs: int, told: bool) -> None:
    assert (caveat(facts_of(tmp_path, split=split, epochs=epochs)) is not None) == told


def test_before_training_is_as_fair_as_after_it(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    before = facts.summary["before"]["validation"]
    before["cross_fitted"] = {"accuracy": 0.432, "intervals": {}}
    assert "where 43.2% was before" in answer(facts).headline


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ({"epochs": 3, "same_data": True}, "The best epoch of the run that it starts from was chosen on validation"),
        (None, "If the run that it starts from chose its best epoch on these validation examples"),
        ({"epochs": 1, "same_data": True}, None),
        ({"epochs": 3, "same_data": False}, None),
    ],
)
def test_a_rounded_run_is_flattered_by_what_its_start_chose(
    tmp_path: Path, start: dict[str, object] | None, told: str | None
) -> None:
    facts = nothing_trained(tmp_path, **({} if start is None else {"start": start}))
    said = caveat(facts)
    assert said is None if told is None else said is not None and said.startswith(told)


def test_the_second_training_chose_on_validation_too(tmp_path: Path) -> None:
    numbers = {"epochs": 2, "best_epoch": 1, "train_seconds": 1.0, "train_examples_per_second": 1.0}
    said = caveat(rounded_facts(tmp_path, training=numbers, **numbers))
    assert said is not None
    assert said.startswith("The best epoch was chosen on these validation examples")


def test_rounding_is_compared_with_float32(tmp_path: Path) -> None:
    said = rounding(facts_of(tmp_path / "quantized", method="qat", quantized=True))
    assert said is not None
    assert "int8 model" in said
    assert "float32 model" in said
    assert rounding(facts_of(tmp_path / "plain")) is None
