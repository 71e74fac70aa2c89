"""A run whose temperature and threshold were chosen on validation: all predictions use them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feathertune.errors import UserError
from feathertune.folders.metrics import Metrics
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.prediction.decision import Decision
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.report.before_after import caption
from feathertune.run.evaluate import evaluate_run
from feathertune.run.load import load_trained
from feathertune.run.train import train
from feathertune.serving.predictor import Predictor
from tiny import save_tiny_base, write_tiny_data

CHOSEN = "evaluation={temperature: true, threshold: {maximize: f1}}"


def tiny_recipe(folder: Path, *changes: str) -> Recipe:
    text = f"""
    model: {{source: '{folder / "base"}'}}
    data: {{source: '{folder / "data"}', label: {{column: label, names: ['no', 'yes']}}}}
    lora: {{rank: 4, alpha: 8, targets: all-linear}}
    training: {{epochs: 2, learning_rate: 0.01, precision: fp32}}
    """
    return parse_recipe(text, list(changes), where="here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decisions")
    save_tiny_base(path / "base")
    write_tiny_data(path / "data", train=64, validation=60, test=40)
    # too little training for 0.5 to be the best threshold
    train(tiny_recipe(path, CHOSEN, "training.epochs=1", "training.learning_rate=0.002"), path / "run")
    return path


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_choice_is_stored_with_its_metric_and_split(folder: Path) -> None:
    run = RunFolder(folder / "run")
    stored = content(run.calibration)
    assert (stored["chosen_for"], stored["chosen_on"], stored["temperature_fitted"]) == ("f1", "validation", True)
    assert stored["temperature"] != 1
    assert stored["threshold"] != 0.5
    assert stored["ece"].keys() == {"validation", "test"}
    for split in ("validation", "test"):
        metrics = content(run.evaluation("after", split))
        assert (metrics["temperature"], metrics["threshold"]) == (stored["temperature"], stored["threshold"])
        assert metrics["ece"] == stored["ece"][split]["after"]
        assert (metrics["cross_fitted"] is None) == (split == "test")


def test_the_verdict_is_on_the_cross_fitted_numbers(folder: Path) -> None:
    run = RunFolder(folder / "run")
    text = "\n".join(caption(Summary.read(run.summary)))
    accuracy = Metrics.read(run.evaluation("after", "validation")).prefer_cross_fitted().accuracy
    assert f"validation: cross-fitted accuracy {accuracy:.1%}" in text
    assert "validation: temperature or threshold was chosen on these very examples" in text
    assert "test: cross-fitted" not in text


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluating_again_and_predicting_give_the_stored_predictions(folder: Path, split: str) -> None:
    run = RunFolder(folder / "run")
    assert evaluate_run(run.path, split=split) == Metrics.read(run.evaluation("after", split))
    stored = read_predictions(run.predictions("after", split), split, content(run.calibration)["threshold"])
    predictions = Predictor(run.path).predict(list(stored.texts))
    assert [one.label for one in predictions] == [stored.label_names[index] for index in stored.predicted]
    assert np.allclose([list(one.probabilities.values()) for one in predictions], stored.probabilities_NC, atol=1e-6)


def test_other_data_was_not_chosen_on(folder: Path) -> None:
    assert evaluate_run(folder / "run", data=folder / "data" / "validation.jsonl").cross_fitted is None


def test_errors_are_written_for_every_split(folder: Path) -> None:
    run = RunFolder(folder / "run")
    for split, count in (("validation", 60), ("test", 40)):
        errors, metrics = content(run.errors(split)), content(run.evaluation("after", split))
        assert errors["num_examples"] == count
        assert errors["mistakes"] == round(count * (1 - metrics["accuracy"]))


def test_an_export_has_the_same_decision(folder: Path, tmp_path: Path) -> None:
    from feathertune.export.exporting import export_run

    export = export_run(folder / "run", "merged", tmp_path / "out")
    assert export.parity.passed, export.parity.refused
    assert export.parity.logit_difference["maximum"] < 1e-3
    stored = content(RunFolder(folder / "run").calibration)
    described = content(tmp_path / "out" / "export.json")
    assert (described["temperature"], described["threshold"]) == (stored["temperature"], stored["threshold"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_so_does_the_predictor_of_an_onnx_export(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the onnx extra is not installed")
    from feathertune.export.exporting import export_run

    assert export_run(folder / "run", "onnx", tmp_path / "out").parity.passed
    stored = read_predictions(folder / "run" / "predictions" / "after-test.csv", "test")
    predictions = Predictor(tmp_path / "out").predict(list(stored.texts))
    assert [one.label for one in predictions] == [stored.label_names[index] for index in stored.predicted]


def test_the_parity_gate_knows_the_threshold(folder: Path) -> None:
    from feathertune.export.parity import compare

    run = RunFolder(folder / "run")
    threshold = content(run.calibration)["threshold"]
    evaluated = read_predictions(run.predictions("after", "validation"), "validation", threshold)
    assert compare(evaluated, evaluated).passed
    plain = replace(evaluated, decision=Decision())
    assert compare(evaluated, plain).label_agreement < 1
    edge = np.log(np.array([[1 - threshold, threshold]] * len(evaluated), dtype=np.float32)) + np.float32([0.01, 0])
    close = replace(evaluated, logits_NC=edge, saved_probabilities_NC=None)
    assert compare(close, close).near_ties == len(evaluated)


def test_a_fixed_threshold_is_not_a_choice(folder: Path, tmp_path: Path) -> None:
    train(tiny_recipe(folder, "evaluation.threshold=0.9", "training.epochs=1"), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert content(run.calibration)["threshold"] == 0.9
    assert content(run.calibration)["chosen_on"] is None
    after = content(run.evaluation("after", "validation"))
    assert (after["threshold"], after["cross_fitted"]) == (0.9, None)
    assert load_trained(run.path).decision == Decision(1.0, 0.9)
    epoch = json.loads(run.metrics.read_text(encoding="utf-8").splitlines()[-1])
    assert epoch["validation"]["recall"] == after["recall"] == 0  # it is used to compare epochs, too
    predictions = read_predictions(run.predictions("after", "validation"), "validation", 0.9)
    assert replace(predictions, decision=Decision()).predicted.any()


def test_a_threshold_for_three_classes_is_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    rows = [f'{{"text": "{word} {index}", "label": "{word}"}}' for word in ("a", "b", "c") for index in range(10)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    recipe = tiny_recipe(folder, CHOSEN, f"data={{source: '{tmp_path / 'data'}'}}")
    with pytest.raises(UserError, match="a threshold decides between two classes, and the data has 3"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
