"""Going on from a finished run: what that run was trained on is no validation of this one."""

from pathlib import Path

import pytest

from feathertune.errors import UserError
from feathertune.evaluation.prediction_file import read_predictions
from feathertune.recipe import Recipe
from feathertune.recipe_file import parse_recipe
from feathertune.run import train
from feathertune.run_folder import RunFolder
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


def going_on(folder: Path, *changes: str) -> Recipe:
    return recipe_of(folder, "method=qat", "quantize={training: none}", f"init_from={folder / 'run'}", *changes)


@pytest.mark.parametrize("change", ["training.seed=1", "data.validation_seed=7", "data.validation_fraction=0.5"])
def test_another_validation_split_is_refused(place: Path, tmp_path: Path, change: str) -> None:
    with pytest.raises(UserError, match=r"was trained on texts that this recipe validates on") as caught:
        train(going_on(place, change), tmp_path / "run")
    assert "data.validation_fraction=0.25 and data.validation_seed=0" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_same_one_with_another_seed_of_training_is_not(place: Path, tmp_path: Path) -> None:
    train(going_on(place, "training.seed=1", "data.validation_seed=0"), tmp_path / "run")
    mine, its = (
        read_predictions(RunFolder(run).predictions("after", "validation"), "validation")
        for run in (tmp_path / "run", place / "run")
    )
    assert mine.rows.tolist() == its.rows.tolist()


def test_nor_is_other_data(place: Path, tmp_path: Path) -> None:
    other = write_tiny_data(tmp_path / "data", validation=0, seed=5)
    train(going_on(place, "training.seed=1", f"data.source={other}"), tmp_path / "run")
