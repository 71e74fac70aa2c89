"""The model card: metadata with cross-fitted figures and without paths, and the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from changed_runs import CROSS_FITTED, change, facts_of, with_metrics
from feathertune.report.pictures import run_pictures
from feathertune.report.writing import write_report


def card_of(folder: Path) -> Any:
    write_report(folder)
    return ModelCard.load(folder / "README.md")


def test_metadata_and_picture_have_the_cross_fitted_figures(tmp_path: Path) -> None:
    facts = with_metrics(facts_of(tmp_path), "after", cross_fitted=CROSS_FITTED)
    after = facts.summary.after["validation"]
    card = card_of(tmp_path)
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert (results["accuracy"], results["f1"], results["precision"]) == (0.512, 0.5, 0.4)
    assert after.roc_auc is not None
    assert results["roc_auc"] == round(after.roc_auc, 4)
    picture = run_pictures(facts)["accuracy"]
    dots = [float(x) for line in picture.figure.axes[0].lines for x in line.get_xdata()]
    assert 51.2 in [round(dot, 6) for dot in dots]
    assert round(100 * after.accuracy, 6) not in [round(dot, 6) for dot in dots]
    assert "Cross-fitted: each half" in picture.caption


@pytest.mark.parametrize(
    ("source", "origin", "name"),
    [
        ("/home/somebody/reviews", {"files": {"train.csv": "0" * 64}}, "reviews"),
        ("somebody/reviews", {"revision": "a" * 40}, "somebody/reviews"),
        ("sample", {"files": {}}, "sample"),
    ],
)
def test_data_is_called_by_its_name_not_by_where_it_lies(
    tmp_path: Path, source: str, origin: dict[str, Any], name: str
) -> None:
    facts = facts_of(tmp_path)
    change(facts.run.data, {"source": source, "origin": origin})
    results = card_of(tmp_path).data.eval_results
    assert {(result.dataset_type, result.dataset_name) for result in results} == {(name, name)}


def test_the_card_has_the_decision_rule(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    decision = {"temperature": 1.5, "threshold": 0.49, "temperature_fitted": True, "chosen_for": "f1"}
    errors = {"ece": {"validation": {"before": 0.1, "after": 0.05}}}
    change(facts.run.calibration, {**decision, **errors, "chosen_on": "validation"})
    text = card_of(tmp_path).text
    assert "POSITIVE is predicted if its probability is at least 0.490." in text
    assert "This threshold was chosen on validation for the best F1." in text
    assert "The logits are divided by a temperature of 1.500" in text
    assert "logits[0] / 1.5).softmax(0)" in text
    assert "if probabilities[1] >= 0.49 else" in text
