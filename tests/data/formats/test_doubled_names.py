"""Two columns of one name are refused with the line that gives each a name of its own, which works."""

import shlex
from pathlib import Path

import pytest

from feathertune.data.loading import load_dataset
from feathertune.errors import UserError
from feathertune.recipe.files import load_recipe, shipped_recipes

ROWS = [(f"a {word} place, number {number}", word) for number, word in enumerate(("good", "bad") * 15)]


def test_the_line_to_type_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label,label\n" + "".join(f'"{text}",{label},x\n' for text, label in ROWS))
    recipe = shipped_recipes()["quickstart"]
    with pytest.raises(UserError, match="two columns are named 'label'") as error:
        load_dataset(load_recipe(recipe, [f"data.source={path}"]).data, seed=0)
    line = str(error.value.fix).split(": ", 1)[1]
    assert line == "'data.columns=[text,label,label 2]' data.header=true"
    section = load_recipe(recipe, [f"data.source={path}", *shlex.split(line)]).data
    dataset = load_dataset(section, seed=0)
    assert sum(map(len, dataset.splits.values())) == len(ROWS)
    assert dataset.label_names == ("bad", "good")
