"""Every shipped recipe, run in miniature: the model swapped for a tiny one of its family, the data for a small part."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from feathertune import (
    Predictor,
    UserError,
    load_recipe,
    train,
)
from feathertune.data.loading import load_dataset
from feathertune.data.sources import SAMPLE_FOLDER
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe, shipped_recipes
from tiny import SHARED, VOCABULARY, save_tiny_base
from trained_tokenizers import small_tokenizer

FAMILY = {
    "quickstart": "bert",
    "wellformed-minilm": "bert",
    "wellformed-fast": "bert",
    "wellformed-minilm-qat": "bert",
    "wellformed-smollm2": "llama",
    "wellformed-best": "llama",
    "wellformed-gpt2": "gpt2",
}
GOOGLE = SHARED / "query-wellformedness"
needs_google = pytest.mark.skipif(not GOOGLE.is_dir(), reason="the query-wellformedness files are not here")


@pytest.fixture
def small_sample(tmp_path: Path) -> Path:
    """The first rows of the built-in sample, in its own layout."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("train.tsv", "dev.tsv"):
        lines = (SAMPLE_FOLDER / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / name).write_text("".join(lines[:65]), encoding="utf-8")
    return folder


def save_base(folder: Path, family: str = "bert") -> Path:
    """A tiny base whose tokenizer knows the sample's characters."""
    save_tiny_base(folder, family)
    small_tokenizer(VOCABULARY).save_pretrained(folder)
    return folder


def test_every_recipe_is_known_here() -> None:
    assert set(shipped_recipes()) == set(FAMILY)


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_a_recipe_runs(name: str, small_sample: Path, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", FAMILY[name])
    overrides = [f"model.source={base}", f"data.source={small_sample}", "training.epochs=1", "model.max_length=64"]
    summary = train(load_recipe(shipped_recipes()[name], overrides), tmp_path / "run")
    assert summary["after"]["validation"]["num_examples"] == 64
    prediction = Predictor(tmp_path / "run").predict("what is the moon?")[0]
    assert prediction.label in summary["label_names"]
    assert sum(prediction.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("method", ["head", "lora", "full", "qat"])
def test_every_method_leaves_what_the_predictor_needs(method: str, small_sample: Path, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "gpt2")
    overrides = [f"model.source={base}", f"data.source={small_sample}", f"method={method}", "training.epochs=1"]
    run = tmp_path / "run"
    train(load_recipe(shipped_recipes()["wellformed-gpt2"], overrides), run)
    assert (run / "adapter").is_dir() == (method != "full")
    assert (run / "model").is_dir() == (method == "full")
    stored = (run / "predictions" / "after-validation.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    prediction = Predictor(run).predict(stored[1])[0]
    assert prediction.label == stored[3]
    assert prediction.probabilities["POSITIVE"] == pytest.approx(float(stored[-1]), abs=1e-6)


@needs_google
@pytest.mark.parametrize("name", sorted(FAMILY))
def test_googles_files_take_the_place_of_any_recipes_data(name: str) -> None:
    recipe = load_recipe(shipped_recipes()[name], [f"data.source={GOOGLE}"])
    dataset = load_dataset(recipe.data, recipe.training.seed)
    assert {split: len(examples) for split, examples in dataset.splits.items()} == {"train": 17500, "validation": 3750}
    # Rated above 0.5, or at least 0.8: counted in the file by awk.
    assert dataset.splits["train"].labels.sum() == (6799 if recipe.data.label.at_least == 0.8 else 8823)


@pytest.mark.skipif(not (SHARED / "gpt2-tokenizer").is_dir(), reason="GPT-2's tokenizer is not here")
def test_gpt2_with_its_own_tokenizer(small_sample: Path, tmp_path: Path) -> None:
    """GPT-2's tokenizer has no pad token; its vocabulary is the true one, the rest of the model is tiny."""
    import shutil

    import torch
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    base = tmp_path / "gpt2"
    GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=4)).save_pretrained(base)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"):
        shutil.copy(SHARED / "gpt2-tokenizer" / name, base / name)
    overrides = [f"model.source={base}", f"data.source={small_sample}", "training.epochs=1"]
    train(load_recipe(shipped_recipes()["wellformed-gpt2"], overrides), tmp_path / "run")
    config = json.loads((tmp_path / "run" / "adapter" / "adapter_config.json").read_text())
    assert config["fan_in_fan_out"] is True
    assert Predictor(tmp_path / "run").predict("日本語 😀 naïve\t'NA'")[0].score >= 0.5


def test_soft_labels_and_a_made_validation_split(small_sample: Path, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    only_train = small_sample / "train.tsv"
    overrides = [f"model.source={base}", f"data.source={only_train}", "data.label.soft=true", "training.epochs=1"]
    train(load_recipe(shipped_recipes()["quickstart"], overrides), tmp_path / "run")
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data["splits"]["train"]["count"] + data["splits"]["validation"]["count"] == 64
    assert any("validation was made from train" in note for note in data["notes"])


@pytest.mark.parametrize("raters", [None, 5])
def test_soft_labels_train_on_the_ratings_and_are_evaluated_on_the_classes(raters: int | None, tmp_path: Path) -> None:
    """All texts in one step, and the same ones in validation: the first loss follows from `before`'s probabilities."""
    rows = [(f"what is the {word} ?", index % 6 / 5) for index, word in enumerate(("cat", "sun", "sea", "moon") * 6)]
    for name in ("train", "validation"):
        lines = [json.dumps({"text": text, "rating": rating}) for text, rating in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    label = f"{{rating: rating, at_least: 0.8, soft: true, raters: {raters or 'null'}}}"
    recipe = parse_recipe(
        f"model: {{source: '{save_tiny_base(tmp_path / 'base')}', dropout: 0.0}}\n"
        f"data: {{source: '{tmp_path}', label: {label}}}\n"
        "lora: {dropout: 0.0}\ntraining: {epochs: 1, batch_size: 24, precision: fp32, learning_rate: 0.1}",
        [],
        where="here",
    )
    train(recipe, tmp_path / "run")
    before = read_predictions(tmp_path / "run" / "predictions" / "before-validation.csv", "validation")
    teach = {0.6: 0.33696, 0.8: 0.73728, 0.4: 0.08704, 0.2: 0.00672} if raters else {}
    by_hand = [
        -(teach.get(rating, rating) * math.log(yes) + (1 - teach.get(rating, rating)) * math.log(no))
        for (_, rating), (no, yes) in zip(rows, before.probabilities_NC.tolist(), strict=True)
    ]
    epoch = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert epoch["train_loss"] == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)
    assert before.labels.tolist() == [int(rating >= 0.8) for _, rating in rows]
    hard = [
        -math.log((no, yes)[label]) for label, (no, yes) in zip(before.labels, before.probabilities_NC, strict=True)
    ]
    evaluated = json.loads((tmp_path / "run" / "evaluation" / "before-validation.json").read_text())
    assert evaluated["loss"] == pytest.approx(sum(hard) / len(hard))


def test_more_positions_than_the_model_has_are_refused_before_anything_is_written(
    small_sample: Path, tmp_path: Path
) -> None:
    base = save_base(tmp_path / "base")
    overrides = [f"model.source={base}", f"data.source={small_sample}", "model.max_length=512"]
    with pytest.raises(UserError, match=r"model\.max_length=300"):
        train(load_recipe(shipped_recipes()["quickstart"], overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert len(small_tokenizer(VOCABULARY)) <= VOCABULARY


def test_predicting_googles_headerless_layout(small_sample: Path, tmp_path: Path) -> None:
    from feathertune.serving.bulk import predict_rows

    base = save_base(tmp_path / "base")
    overrides = [f"model.source={base}", f"data.source={small_sample}", "training.epochs=1"]
    train(load_recipe(shipped_recipes()["quickstart"], overrides), tmp_path / "run")
    (tmp_path / "google.tsv").write_text("what is the moon ?\t0.8\nthe moon\t0.0\n", encoding="utf-8")
    rows = list(predict_rows(Predictor(tmp_path / "run"), tmp_path / "google.tsv", None))
    assert [(row, prediction.text) for row, prediction in rows] == [(1, "what is the moon ?"), (2, "the moon")]
