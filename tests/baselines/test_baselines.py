"""The baselines: what they learn, that a file gives the same predictions, and whole runs of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feathertune import (
    Predictor,
    UserError,
    load_recipe,
    train,
)
from feathertune.baselines.bag_of_words import STRENGTHS, BagOfWordsBaseline, choose_strength
from feathertune.baselines.files import load_baseline, save_baseline
from feathertune.baselines.majority import MajorityBaseline
from feathertune.data.columns import with_columns
from feathertune.folders.summary import Summary
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import dump_recipe, parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.evaluate import evaluate_run
from feathertune.run.load import load_trained
from feathertune.run.outline import outline
from tiny import write_tiny_data

TEXTS = ["the cat", "a cat sat", "my cat ?", "the dog", "a dog ran", "my dog ?"] * 5
LABELS = np.array([1, 1, 1, 0, 0, 0] * 5)


def recipe_of(folder: Path, method: str) -> Recipe:
    return parse_recipe(f"model: {{source: none}}\ndata: {{source: '{folder}'}}\nmethod: {method}", [], where="here")


def test_majority_predicts_the_label_shares_of_train() -> None:
    baseline = MajorityBaseline.fit(np.array([0, 2, 2, 2]), ("a", "b", "c"))
    np.testing.assert_array_equal(baseline.probabilities(["x", "y"]), [[0.25, 0, 0.75]] * 2)
    assert baseline.trained_numbers == 3
    with pytest.raises(ValueError, match="no training labels"):
        MajorityBaseline.fit(np.array([], dtype=np.int64), ("a", "b"))


def test_the_bag_of_words_uses_words_and_punctuation() -> None:
    baseline = BagOfWordsBaseline.fit(TEXTS, LABELS, ("no", "yes"), seed=0)
    positive = baseline.probabilities(["some cat", "some dog", "?"])[:, 1]
    assert positive[0] > 0.9
    assert positive[1] < 0.1
    assert positive[2] == pytest.approx(0.5, abs=0.05), "the question mark is on both sides"
    assert {"cat", "?", "the cat"} <= set(baseline.vocabulary)
    assert baseline.trained_numbers == len(baseline.vocabulary) + 1


@pytest.mark.parametrize("present", [[0, 1, 2], [0, 2]])
def test_many_classes_and_one_without_training_examples(present: list[int]) -> None:
    words = np.array(["sun", "moon", "tree"])
    labels_N = np.array(present * 6)
    baseline = BagOfWordsBaseline.fit(words[labels_N].tolist(), labels_N, ("s", "m", "t"), seed=0)
    probabilities_NC = baseline.probabilities(words[present].tolist())
    assert probabilities_NC.argmax(axis=1).tolist() == present
    np.testing.assert_allclose(probabilities_NC.sum(axis=1), 1)
    if 1 not in present:
        assert not probabilities_NC[:, 1].any()


def test_the_strength_is_the_one_with_the_lowest_loss_on_held_out_texts() -> None:
    """Useless words need strong regularization, words that decide everything need little."""
    rng = np.random.default_rng(0)
    noise = [" ".join(rng.choice(list("abcdefghijklmnop"), size=6)) for _ in range(200)]
    assert choose_strength(noise, rng.integers(0, 2, size=200), 2, seed=0) == STRENGTHS[0]
    assert choose_strength(TEXTS, LABELS, 2, seed=0) == STRENGTHS[-1]
    assert choose_strength(["a", "b", "c"], np.array([0, 0, 1]), 2, seed=0) == 1.0, "nothing can be held out"


@pytest.mark.parametrize("names", [("no", "yes"), ("no", "yes", "never")])
def test_a_file_gives_the_same_predictions_to_the_last_bit(names: tuple[str, ...], tmp_path: Path) -> None:
    for fitted in (MajorityBaseline.fit(LABELS, names), BagOfWordsBaseline.fit(TEXTS, LABELS, names, seed=0)):
        save_baseline(tmp_path / "baseline.json", fitted)
        read = load_baseline(tmp_path / "baseline.json")
        np.testing.assert_array_equal(read.probabilities(TEXTS), fitted.probabilities(TEXTS))
    (tmp_path / "baseline.json").write_text('{"label_names": ["a"], "words": {}}', encoding="utf-8")
    with pytest.raises(UserError, match="not a baseline"):
        load_baseline(tmp_path / "baseline.json")


@pytest.mark.parametrize(("method", "least"), [("majority", 0.5), ("bag_of_words", 0.85)])
def test_a_run_of_a_baseline_is_a_run_folder(method: str, least: float, tmp_path: Path) -> None:
    recipe, run = recipe_of(write_tiny_data(tmp_path / "data", test=20), method), tmp_path / "run"
    summary = train(recipe, run)
    assert summary == Summary.read(run / "summary.json").to_json()
    assert load_recipe(run / "recipe.yaml") == with_columns(recipe)
    assert summary["after"]["validation"]["accuracy"] >= least
    assert set(summary["after"]) == {"validation", "test"}
    assert summary["before"] == {}
    for split in ("validation", "test"):
        file = read_predictions(run / "predictions" / f"after-{split}.csv", split)
        predictions = Predictor(run).predict(list(file.texts))
        assert [prediction.label for prediction in predictions] == [file.label_names[index] for index in file.predicted]
        shown = np.array([list(prediction.probabilities.values()) for prediction in predictions])
        np.testing.assert_array_equal(shown, file.probabilities_NC)
        assert (run / "evaluation" / f"errors-{split}.json").is_file()
    assert train(recipe, run, resume=True) == summary


@pytest.mark.parametrize("threshold", ["0.7", "{maximize: f1}"])
def test_no_threshold_makes_the_majority_predict_another_class(threshold: str, tmp_path: Path) -> None:
    data = write_tiny_data(tmp_path / "data", test=20)
    lines = (data / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    few = [line for line in lines if '"no"' in line][: len(lines) // 3]
    (data / "train.jsonl").write_text("".join([*few, *(line for line in lines if '"yes"' in line)]), encoding="utf-8")
    recipe = recipe_of(data, "majority")
    recipe = parse_recipe(dump_recipe(recipe), [f"evaluation.threshold={threshold}"], where="here")
    summary = train(recipe, tmp_path / "run")
    for split, metrics in summary["after"].items():
        assert metrics["accuracy"] == summary["majority"][split]["accuracy"]
        assert metrics["recall"] == 1.0


def test_dry_run_shows_what_a_baseline_would_be_fitted_to(tmp_path: Path) -> None:
    recipe = recipe_of(write_tiny_data(tmp_path / "data", test=20), "bag_of_words")
    assert outline(recipe) == {
        "method": "bag_of_words",
        "model": None,
        "label_names": ["no", "yes"],
        "examples": {"train": 96, "validation": 32, "test": 20},
        "read_as": ["train.jsonl, validation.jsonl, test.jsonl read as: jsonl, UTF-8"],
        "notes": ["text: 'text', label: 'label'"],
        "remarks": [],
    }


@pytest.mark.parametrize("method", ["majority", "bag_of_words"])
@pytest.mark.parametrize("threshold", ["0.3", "{maximize: f1}"])
def test_a_threshold_for_three_classes_is_refused_before_anything_is_written(
    method: str, threshold: str, tmp_path: Path
) -> None:
    data = write_tiny_data(tmp_path / "data")
    with (data / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "perhaps a cat", "label": "maybe"}\n')
    recipe = parse_recipe(dump_recipe(recipe_of(data, method)), [f"evaluation.threshold={threshold}"], where="here")
    with pytest.raises(UserError, match="a threshold decides between two classes, and the data has 3"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_needs_a_transformer_refuses_a_baseline(tmp_path: Path) -> None:
    recipe = recipe_of(write_tiny_data(tmp_path / "data"), "bag_of_words")
    train(recipe, tmp_path / "run")
    for attempt in (lambda: load_trained(tmp_path / "run"), lambda: evaluate_run(tmp_path / "run")):
        with pytest.raises(UserError, match="the baseline 'bag_of_words'"):
            attempt()
    with pytest.raises(UserError, match="holds the whole model"):
        Predictor(tmp_path / "run", base="x")


def test_the_bag_of_words_finds_little_in_the_sample() -> None:
    """Its pairs of queries share most of their words, by design."""
    from feathertune.data.loading import load_dataset
    from feathertune.recipe.schema import DataSection, LabelSection

    label = LabelSection(rating="rating", above=0.5)
    splits = load_dataset(DataSection(source="sample", text="content", label=label), seed=0).splits
    train_split, test = splits["train"], splits["test"]
    baseline = BagOfWordsBaseline.fit(train_split.texts.to_pylist(), train_split.labels, ("no", "yes"), seed=0)
    right_N = baseline.probabilities(test.texts.to_pylist()).argmax(axis=1) == test.labels
    assert 0.45 < right_N.mean() < 0.75
