"""The headline: what is shown, what is not shown, and that it never claims more than the intervals allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from feathertune.files import read_json
from feathertune.report.answer import Answer, answer, caveat, rounding
from feathertune.report.facts import RunFacts
from made_up import made_up_run


def facts_of(folder: Path, **settings: object) -> RunFacts:
    run = made_up_run(folder, **settings)  # type: ignore[arg-type]
    return RunFacts(run, read_json(run.summary))


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


def test_rounding_is_compared_with_float32(tmp_path: Path) -> None:
    said = rounding(facts_of(tmp_path / "quantized", method="qat", quantized=True))
    assert said is not None
    assert "int8 model" in said
    assert "float32 model" in said
    assert rounding(facts_of(tmp_path / "plain")) is None
