"""The benchmark of prediction, on a tiny model: the table is complete, and disagreement fails."""

import json
from pathlib import Path

import numpy as np
import pytest

import prediction_speed
from shapes import Shape
from tiny import tiny_tokenizer


@pytest.mark.slow
def test_every_contender_has_its_row_and_they_agree(
    tiny_shape: Shape, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    output = tmp_path / "speeds.json"
    options = ["--models", "tiny", "--tokenizer", str(tmp_path / "tokenizer"), "--texts", "100", "--peer-texts", "80"]
    status = prediction_speed.main([*options, "--rounds", "1", "--sweep", "8", "16", "--output", str(output)])
    measured = json.loads(output.read_text())["models"]["tiny"]
    table = capsys.readouterr().out
    assert status == 0, table
    assert set(measured["rows"]) == set(prediction_speed.CONTENDERS)
    for row in measured["rows"].values():
        assert row["title"] in table
        assert row["texts_per_second"]["median"] > 0
        assert row["texts_per_second_from_tokens"]["median"] > 0
    assert measured["agreement"]["score_deviation"] > 0.05  # otherwise agreement would mean little
    assert 0.1 < measured["agreement"]["yes_share"] < 0.9


def probabilities(*yes: float) -> np.ndarray:
    return np.array([[1 - p, p] for p in yes])


def test_scores_apart_disagree_in_fp32() -> None:
    pipeline = probabilities(0.2, 0.7)
    near, far = probabilities(0.2, 0.700005), probabilities(0.2, 0.70002)
    assert prediction_speed._agreement({"pipeline": pipeline, "ours-fp32": near})["holds"]
    assert not prediction_speed._agreement({"pipeline": pipeline, "ours-fp32": far})["holds"]
    assert not prediction_speed._agreement({"pipeline": pipeline, "ours-fp32": np.full((2, 2), np.nan)})["holds"]


def test_labels_may_differ_in_bf16_only_at_near_ties() -> None:
    pipeline = probabilities(0.2, 0.505)
    assert prediction_speed._agreement({"pipeline": pipeline, "ours-bf16": probabilities(0.3, 0.495)})["holds"]
    assert not prediction_speed._agreement({"pipeline": pipeline, "ours-bf16": probabilities(0.51, 0.505)})["holds"]


def test_predictions_that_the_peers_did_not_make_are_ignored() -> None:
    found = prediction_speed._agreement({"pipeline": probabilities(0.2), "ours-fp32": probabilities(0.2, 0.9)})
    assert found["holds"]
    assert found["ours-fp32"]["largest_difference"] == 0


def test_a_missing_tokenizer_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--tokenizer"):
        prediction_speed.main(["--models", "gpt2", "--quick"])
