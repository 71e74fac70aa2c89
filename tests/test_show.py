"""`show`: tables for rich, and figures from the files of a run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from rich.console import Console
from tokenizers import Tokenizer

import feathertune
from feathertune import show
from made_up import made_up_run
from tiny import save_tiny_base, write_tiny_data


def printed(renderable: object) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    base, data = save_tiny_base(tmp_path / "base"), write_tiny_data(tmp_path / "data")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"model: {{source: {base}}}\n"
        f"data: {{source: {data}, label: {{column: label, names: ['no', 'yes']}}}}\n"
        "lora: {rank: 4, targets: all-linear}\ntraining: {epochs: 1, batch_size: 8}\n",
        encoding="utf-8",
    )
    return path


def test_the_public_names_are_there() -> None:
    assert set(feathertune.__all__) <= set(dir(feathertune))
    for name in feathertune.__all__:
        assert getattr(feathertune, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        feathertune.nothing  # noqa: B018


def test_data_model_and_tokens_of_a_recipe(recipe: Path) -> None:
    assert "yes" in printed(show.data(str(recipe)))
    assert "trainable" in printed(show.model(str(recipe)))
    table = printed(show.tokens(str(recipe.parent / "base"), ["what is the cat", "\x1b[31mzzz"]))
    assert "[CLS] what is the cat [SEP]" in table
    assert "6" in table
    assert "\x1b" not in table


def test_tokens_are_not_padded_even_if_the_tokenizers_file_turns_it_on(tmp_path: Path) -> None:
    base = save_tiny_base(tmp_path / "base")
    file = base / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(file))
    assert "[PAD]" not in printed(show.tokens(str(base), ["what is the cat"]))


def test_what_is_measured_before_training_is_what_train_measures(recipe: Path, tmp_path: Path) -> None:
    loaded = feathertune.load_recipe(recipe)
    before = feathertune.evaluate_untrained(loaded, split="dev")
    summary = feathertune.train(loaded, tmp_path / "run")
    assert before.to_json() == summary["before"]["validation"]
    decided = feathertune.load_recipe(recipe, ["evaluation={temperature: true, threshold: {maximize: f1}}"])
    again = feathertune.train(decided, tmp_path / "decided")["before"]
    for split in again:
        assert feathertune.evaluate_untrained(decided, split=split).to_json() == again[split]
    assert "majority" in printed(show.summary(summary))
    assert "accuracy" in printed(show.metrics(before))
    predictions = feathertune.Predictor(tmp_path / "run").predict(["the cat", "the dog"])
    assert "the dog" in printed(show.predictions(predictions))
    with pytest.raises(feathertune.UserError, match="no split 'test'"):
        feathertune.evaluate_untrained(loaded, split="test")


def test_pictures_of_a_finished_run(tmp_path: Path) -> None:
    pictures = show.pictures(made_up_run(tmp_path).path)
    assert {"accuracy", "loss", "metrics", "confusion", "roc", "reliability"} <= set(pictures)
    assert all(isinstance(figure, Figure) for figure in pictures.values())


def test_a_shipped_recipe_is_loaded_by_its_name() -> None:
    assert feathertune.load_recipe("quickstart").data.source == "sample"
    with pytest.raises(feathertune.UserError, match="did you mean 'quickstart'"):
        feathertune.load_recipe("quikstart")
