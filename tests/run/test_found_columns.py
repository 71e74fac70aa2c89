"""Columns that were found are those of the run from then on: stored, resumed, evaluated, predicted."""

from pathlib import Path

import pytest

from feathertune.data.columns import with_columns
from feathertune.errors import UserError
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.recipe.files import load_recipe, parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.evaluate import evaluate_run
from feathertune.run.train import train
from tiny import save_tiny_base

WORDS = (
    "what dog can run",
    "how do you sing to a cat",
    "we see the big dog and it can eat",
    "the cat will sleep in the sun",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and data whose columns nobody names."""
    folder = tmp_path_factory.mktemp("found")
    save_tiny_base(folder / "base")
    rows = [f"{n},{WORDS[n % 4]}{' not' * n},{('dog', 'cat')[n % 2]}" for n in range(40)]
    (folder / "animals.csv").write_text("\n".join(["number,what was said,animal", *rows]) + "\n")
    (folder / "headless.tsv").write_text("".join(f"{WORDS[n % 4]}{' not' * n}\t{n % 2}\n" for n in range(40)))
    return folder


def recipe(place: Path, *changes: str, source: str = "animals.csv") -> Recipe:
    text = f"""
    model: {{source: '{place / "base"}', max_length: 32}}
    data: {{source: '{place / source}'}}
    method: head
    training: {{epochs: 1, precision: fp32}}
    """
    return parse_recipe(text, list(changes), where="here")


@pytest.mark.parametrize(
    ("source", "text", "label"), [("animals.csv", "what was said", "animal"), ("headless.tsv", "text", "label")]
)
@pytest.mark.parametrize("method", ["head", "majority"])
def test_a_run_stores_them_and_is_resumed_without_them(
    place: Path, tmp_path: Path, source: str, text: str, label: str, method: str
) -> None:
    unnamed = recipe(place, f"method={method}", source=source)
    train(unnamed, tmp_path / "run")
    stored = load_recipe(RunFolder(tmp_path / "run").recipe)
    assert (stored.data.text, stored.data.label.column) == (text, label)
    assert with_columns(unnamed) == with_columns(stored) == stored
    summary = Summary.read(RunFolder(tmp_path / "run").summary).to_json()
    assert train(unnamed, tmp_path / "run", resume=True) == summary
    with pytest.raises(UserError, match="another recipe"):
        train(
            recipe(place, f"method={method}", "data.validation_fraction=0.2", source=source),
            tmp_path / "run",
            resume=True,
        )


def test_another_file_is_evaluated_by_its_own_columns_which_are_said(place: Path, tmp_path: Path) -> None:
    train(recipe(place), tmp_path / "run")
    same, other, said = tmp_path / "same.csv", tmp_path / "other.csv", list[str]()
    rows = "".join(f"{WORDS[n % 4]},{('dog', 'cat')[n % 2]}\n" for n in range(8))
    same.write_text("what was said,animal\n" + rows)
    other.write_text("Comment,species\n" + rows)
    metrics = evaluate_run(tmp_path / "run", data=same, say=said.append)
    assert said == []
    assert evaluate_run(tmp_path / "run", data=other, say=said.append).to_json() | {"split": "same"} == (
        metrics.to_json() | {"split": "same"}
    )
    assert said == ["other.csv: text: 'Comment', label: 'species'"]
