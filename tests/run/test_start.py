"""Starting from a finished run: its base must be the same, and it must not be trained on the new validation split."""

import json
import shutil
from pathlib import Path

import pytest

from feathertune.errors import UserError
from feathertune.folders.run import RunFolder
from feathertune.prediction.files import read_predictions
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.load import load_trained
from feathertune.run.train import train
from tiny import save_tiny_base, write_tiny_data


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, data without a validation split, and a run with seed 0."""
    folder = tmp_path_factory.mktemp("start")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data", validation=0)
    train(recipe_of(folder), folder / "run")
    return folder


def recipe_of(folder: Path, *changes: str) -> Recipe:
    text = f"""
    model: {{source: '{folder / "base"}'}}
    data: {{source: '{folder / "data"}', validation_fraction: 0.25}}
    lora: {{rank: 4, targets: all-linear}}
    training: {{epochs: 1, batch_size: 16, precision: fp32}}
    """
    return parse_recipe(text, list(changes), where="here")


def continued(folder: Path, *changes: str) -> Recipe:
    return recipe_of(folder, "method=qat", "quantize={training: ptq}", f"init_from={folder / 'run'}", *changes)


@pytest.mark.parametrize("change", ["training.seed=1", "data.validation_seed=7", "data.validation_fraction=0.5"])
def test_another_validation_split_is_refused(place: Path, tmp_path: Path, change: str) -> None:
    with pytest.raises(UserError, match=r"was trained on texts of this recipe's validation split") as caught:
        train(continued(place, change), tmp_path / "run")
    assert "data.validation_fraction=0.25 and data.validation_seed=0" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_same_one_with_another_training_seed_is_accepted(place: Path, tmp_path: Path) -> None:
    train(continued(place, "training.seed=1", "data.validation_seed=0"), tmp_path / "run")
    new, earlier = (
        read_predictions(RunFolder(run).predictions("after", "validation"), "validation")
        for run in (tmp_path / "run", place / "run")
    )
    assert new.rows.tolist() == earlier.rows.tolist()


def test_so_is_other_data(place: Path, tmp_path: Path) -> None:
    other = write_tiny_data(tmp_path / "data", validation=0, seed=5)
    summary = train(continued(place, "training.seed=1", f"data.source={other}"), tmp_path / "run")
    assert summary["start"]["same_data"] is False


def test_a_run_of_an_earlier_version_with_fewer_checksums_of_its_base_still_opens(place: Path, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(place / "run", tmp_path / "earlier"))
    described = json.loads(run.base.read_text())
    del described["sha256"]["tokenizer_config.json"]
    run.base.write_text(json.dumps(described))
    assert load_trained(run.path).classifier.label_names == ("no", "yes")
    train(continued(place, f"init_from={run.path}"), tmp_path / "run")


def test_a_base_with_a_changed_tokenizer_is_another_base(place: Path, tmp_path: Path) -> None:
    base = shutil.copytree(place / "base", tmp_path / "base")
    settings = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, "truncation_side": "left"}))
    with pytest.raises(UserError, match=r"the sha256 of tokenizer_config.json differs"):
        load_trained(place / "run", str(base))
    with pytest.raises(UserError, match="was trained on another base model"):
        train(continued(place, f"model.source={base}"), tmp_path / "run")
