"""Sentences on data, limits and decisions for every kind of run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from changed_runs import CROSS_FITTED, baseline_facts, change, facts_of, ptq_facts, with_metrics
from feathertune.report.sentences import bias_sentences, calibration_lines, data_lines, limits
from feathertune.report.writing import write_report

MEMBER = {"best_epoch": 2, "value": 0.8, "loss": 0.5, "epochs": 3, "stopped_early": False}
MEMBER |= {"train_seconds": 20.0, "examples_seen": 360}
PLAIN: dict[str, Any] = {"temperature": 1.0, "threshold": 0.5, "temperature_fitted": False, "chosen_for": None}


def test_seeds_that_were_averaged_are_counted(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "lora.members=3", summary={"members": [{"seed": seed, **MEMBER} for seed in (0, 1, 2)]})
    facts.run.member(0).path.mkdir(parents=True)
    facts.run.metrics.rename(facts.run.member(0).metrics)
    text = " ".join(limits(facts))
    assert "3 adapters with different seeds were trained and averaged once." in text
    assert "One seed" not in text


def test_what_was_not_trained_had_no_seed(tmp_path: Path) -> None:
    assert any(line.startswith("One seed was trained.") for line in limits(facts_of(tmp_path / "lora")))
    assert any(line.startswith("One trained model was quantized.") for line in limits(ptq_facts(tmp_path / "int4")))
    for line in limits(baseline_facts(tmp_path / "baseline")):
        assert "seed" not in line
        assert "training runs" not in line


@pytest.mark.parametrize(
    ("raters", "expected"),
    [
        ("null", "trained on the rating itself"),
        ("5", "trained on the probability that 5 further raters would give this label"),
    ],
)
def test_soft_labels_are_described(tmp_path: Path, raters: str, expected: str) -> None:
    label = f"data.label={{rating: rating, at_least: 0.8, soft: true, raters: {raters}}}"
    lines = dict(data_lines(facts_of(tmp_path, label)))
    assert expected in lines["label"]
    assert ("itself" in lines["label"]) == (raters == "null")


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ({"temperature_fitted": True}, "The temperature was chosen on these very validation examples"),
        ({"chosen_for": "f1", "threshold": 0.49}, "The threshold was chosen on these very"),
        ({"temperature_fitted": True, "chosen_for": "f1"}, "Temperature and threshold were chosen on these very"),
    ],
)
def test_only_what_was_chosen_is_called_chosen(tmp_path: Path, decision: dict[str, Any], expected: str) -> None:
    facts = with_metrics(facts_of(tmp_path), "after", cross_fitted=CROSS_FITTED)
    errors = {"ece": {"validation": {"before": 0.1, "after": 0.05}}}
    change(facts.run.calibration, {**PLAIN, **errors, "chosen_on": "validation", **decision})
    sentences = bias_sentences(facts, "validation")
    assert sentences is not None
    assert sentences.startswith(expected)


def test_a_threshold_that_the_recipe_sets_is_given(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert not any("From a probability" in line for line in calibration_lines(facts))
    change(facts.run.calibration, {**PLAIN, "threshold": 0.9, "chosen_on": None})
    facts = facts_of(tmp_path)
    sentence = "POSITIVE is predicted if its probability is at least 0.900. This threshold was set by the recipe."
    assert sentence in calibration_lines(facts)


def test_the_table_says_which_figures_are_optimistic(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    optimistic = "which makes the figures optimistic"
    assert bias_sentences(facts, "validation") is None
    assert optimistic not in write_report(tmp_path).read_text(encoding="utf-8")
    with_metrics(facts, "after", cross_fitted={**CROSS_FITTED, "intervals": {}})
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.index(optimistic) < page.index('<section id="predictions">'), "under the table"
