"""Refused before a run starts: models whose predictions would depend on the library or on the other texts."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from feathertune.comparison.compare import compare
from feathertune.errors import UserError
from feathertune.recipe.files import parse_recipe
from feathertune.run.prepare import PreparedRun, prepare
from feathertune.run.train import train
from feathertune.tuning.tune import tune
from tiny import save_tiny_base, write_tiny_data

LONGROPE = {
    "rope_type": "longrope",
    "factor": 4.0,
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [2.0, 3.0, 4.0, 5.0],
    "original_max_position_embeddings": 75,
}


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def prepared(place: Path, base: Path, *changes: str) -> PreparedRun:
    data = write_tiny_data(place / "data")
    recipe = f"""
    model: {{source: '{base}', max_length: 64}}
    data: {{source: '{data}'}}
    training: {{precision: fp32}}
    """
    return prepare(parse_recipe(recipe, list(changes), where="here"), torch.device("cpu"))


def test_if_the_first_token_is_pooled_the_last_may_be_any(tmp_path: Path) -> None:
    base = save_tiny_base(tmp_path / "base", "bert")
    change_json(base / "tokenizer_config.json", pad_token="[SEP]")
    assert prepared(tmp_path, base).tokenizer.pad_token == "[SEP]"


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_texts_that_would_change_the_scale_of_positions_for_others_are_refused(tmp_path: Path, name: str) -> None:
    base = save_tiny_base(tmp_path / "base", name)
    change_json(base / "config.json", rope_parameters=LONGROPE)
    assert prepared(tmp_path, base, "model.max_length=75").recipe.model.max_length == 75
    with pytest.raises(UserError, match=r"model.max_length: .*longrope.*\n.*model.max_length=75 or less"):
        prepared(tmp_path, base, "model.max_length=76")


def test_a_text_longer_than_the_positions_is_refused(tmp_path: Path) -> None:
    base = save_tiny_base(tmp_path / "base", "gpt2")
    with pytest.raises(UserError, match=r"model.max_length: 301 tokens are more than the model's 300 positions"):
        prepared(tmp_path, base, "model.max_length=301")


@pytest.mark.parametrize("command", ["train", "baseline", "tune", "compare"])
def test_a_metric_that_validation_leaves_undefined_is_refused_before_anything_is_written(
    command: str, tmp_path: Path
) -> None:
    write_tiny_data(tmp_path / "data", train=24, validation=1)  # its only label is no
    text = f"""
    model: {{source: '{save_tiny_base(tmp_path / "base")}'}}
    data: {{source: '{tmp_path / "data"}', label: {{column: label, names: ['no', 'yes']}}}}
    training: {{precision: fp32, best_metric: roc_auc}}
    """
    output = tmp_path / "output"
    changes = {"baseline": ["method=majority"], "tune": ["search={lora.rank: [2, 4]}"]}.get(command, [])
    recipe = parse_recipe(text, changes, where="here")
    if command == "tune":
        pytest.importorskip("optuna", reason="the extra `tune` is not installed")
    run = {
        "tune": partial(tune, trials=1),
        "compare": partial(compare, methods=["majority", "lora"], seeds=1),
    }.get(command, train)
    with pytest.raises(UserError, match="roc_auc is undefined on validation"):
        run(recipe, output)
    assert not output.exists()
