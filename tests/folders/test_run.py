"""The names in a run folder, and which folders are finished runs."""

import inspect
from pathlib import Path

import pytest

from feathertune.errors import UserError
from feathertune.folders.run import RunFolder, open_run


def test_every_name_lies_inside_the_folder_and_is_its_own(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    names = [getattr(run, name) for name, _ in inspect.getmembers(RunFolder, lambda value: isinstance(value, property))]
    names += [run.evaluation("before", "test"), run.errors("test"), run.predictions("after", "validation")]
    assert len(set(names)) == len(names) == 21
    assert all(path.is_relative_to(tmp_path) for path in names)
    assert run.evaluation("before", "test") == tmp_path / "evaluation" / "before-test.json"
    assert run.predictions("after", "validation") == tmp_path / "predictions" / "after-validation.csv"


def test_a_finished_run_has_a_recipe_and_a_summary(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such run folder"):
        open_run(tmp_path / "missing")
    with pytest.raises(UserError, match=r"it has no recipe\.yaml"):
        open_run(tmp_path)
    (tmp_path / "recipe.yaml").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"not finished.*\n.*--resume"):
        open_run(tmp_path)
    (tmp_path / "summary.json").write_text("{}", encoding="utf-8")
    assert open_run(tmp_path).path == tmp_path
