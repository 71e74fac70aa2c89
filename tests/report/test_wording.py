"""Data, limits and decisions in words, of runs that are not the plain kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from changed_runs import baseline_facts, change, facts_of, nothing_trained
from feathertune.report.wording import (
    calibration_lines,
    data_lines,
    decision_lines,
    flattered,
    limits,
)
from feathertune.report.writing import write_report

FAIR = {"accuracy": 0.512, "loss": 0.7, "f1": 0.5, "precision": 0.4, "recall": 0.6}
MEMBER = {"best_epoch": 2, "loss": 0.5, "epochs": 3}
PLAIN: dict[str, Any] = {"temperature": 1.0, "threshold": 0.5, "temperature_fitted": False, "chosen_for": None}


def test_seeds_that_were_averaged_are_counted(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "lora.members=3", summary={"members": [{"seed": seed, **MEMBER} for seed in (0, 1, 2)]})
    facts.run.member(0).path.mkdir(parents=True)
    facts.run.metrics.rename(facts.run.member(0).metrics)
    told = " ".join(limits(facts))
    assert "3 adapters were trained, each with its own seed, and averaged once." in told
    assert "One seed" not in told


def test_what_was_not_trained_had_no_seed(tmp_path: Path) -> None:
    assert any(line.startswith("One seed was trained.") for line in limits(facts_of(tmp_path / "lora")))
    assert any(line.startswith("One trained model was rounded.") for line in limits(nothing_trained(tmp_path / "int4")))
    assert not any("seed" in line or "luck" in line for line in limits(baseline_facts(tmp_path / "baseline")))


@pytest.mark.parametrize(
    ("raters", "told"),
    [("null", "trained on the rating itself"), ("5", "trained on how likely 5 further raters would give it")],
)
def test_soft_labels_are_what_they_are(tmp_path: Path, raters: str, told: str) -> None:
    label = f"data.label={{rating: rating, at_least: 0.8, soft: true, raters: {raters}}}"
    lines = dict(data_lines(facts_of(tmp_path, label)))
    assert told in lines["label"]
    assert ("itself" in lines["label"]) == (raters == "null")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"temperature_fitted": True}, "The temperature was chosen on these very validation examples"),
        ({"chosen_for": "f1", "threshold": 0.49}, "The threshold was chosen on these very"),
        ({"temperature_fitted": True, "chosen_for": "f1"}, "Temperature and threshold were chosen on these very"),
    ],
)
def test_only_what_was_chosen_is_said_to_have_been(tmp_path: Path, found: dict[str, Any], told: str) -> None:
    facts = facts_of(tmp_path)
    facts.summary["after"]["validation"]["cross_fitted"] = FAIR
    errors = {"ece": {"validation": {"before": 0.1, "after": 0.05}}}
    change(facts.run.calibration, {**PLAIN, **errors, "chosen_on": "validation", **found})
    assert any(line.startswith(told) for line in calibration_lines(facts))


def test_a_threshold_that_the_recipe_sets_is_told(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert not any("from a probability" in line for line in decision_lines(facts))
    change(facts.run.calibration, {**PLAIN, "threshold": 0.9, "chosen_on": None})
    facts = facts_of(tmp_path)
    assert "The answer is POSITIVE from a probability of 0.900 on, as the recipe sets it." in decision_lines(facts)


def test_the_table_says_where_its_figures_flatter(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert flattered(facts, "validation") is None
    assert "which flatters" not in write_report(tmp_path).read_text(encoding="utf-8")
    after = facts.summary["after"]["validation"]
    change(facts.run.summary, {"after": {"validation": {**after, "cross_fitted": {**FAIR, "intervals": {}}}}})
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.index("which flatters") < page.index('<section id="answers">'), "under the table"
