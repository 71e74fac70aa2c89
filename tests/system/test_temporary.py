"""What a killed process leaves is recognized by its name and removed by the next one; nothing else is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feathertune.system.files import atomic_path, write_text
from feathertune.system.temporary import (
    is_new,
    is_temporary,
    remove_left_beside,
    remove_left_in,
    temporary_file,
    temporary_folder,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from feathertune.system.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
OTHERS = (".notes.tmp", "draft.tmp", ".recipe.yaml.swp", ".report.html.abcd1234.tmp", ".feathertune-abcd1234.tmp", ".x")


def kill_while_writing(path: Path) -> Path:
    """Let a process be killed while it writes `path`; returns what it leaves."""
    before = set(path.parent.iterdir())
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = set(path.parent.iterdir()) - before
    return left


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize(
    "name", ["recipe.yaml", "predictions.csv", "a name with blanks, as long as " + "it can be " * 10]
)
def test_the_next_writer_of_a_file_removes_what_a_killed_one_left(name: str, tmp_path: Path) -> None:
    other = tmp_path / ".predictions.csv.tmp"
    other.touch()
    left = kill_while_writing(tmp_path / name)
    assert is_temporary(left)
    write_text(tmp_path / name, "whole")
    assert {path.name for path in tmp_path.iterdir()} == {name, other.name}


@pytest.mark.skipif(os.name == "nt", reason="no such locks")
def test_a_living_writer_of_the_same_file_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("slow", encoding="utf-8")
        write_text(path, "fast")
        remove_left_in(tmp_path)
        assert path.read_text(encoding="utf-8") == "fast"
    assert path.read_text(encoding="utf-8") == "slow"
    assert list(tmp_path.iterdir()) == [path]


def test_only_our_own_names_are_removed_from_a_folder(tmp_path: Path) -> None:
    deep = tmp_path / "checkpoints" / "deep"
    deep.mkdir(parents=True)
    for folder in (tmp_path, deep):
        for name in OTHERS:
            (folder / name).touch()
        temporary_file(folder / "summary.json")
        (temporary_folder(folder / "step-000010") / "weights.safetensors").touch()
        (folder / ".recipe.yaml.k3_j2abc.tmp").touch()  # an earlier version's
        (folder / ".step-000012.tmp").mkdir()
    remove_left_in(tmp_path)
    assert {path.name for path in deep.iterdir()} == set(OTHERS)
    assert {path.name for path in tmp_path.iterdir()} == {*OTHERS, "checkpoints"}


def test_a_folder_with_nothing_but_our_own_temporary_files_is_new(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert is_new(folder)
    folder.mkdir()
    assert is_new(folder)
    temporary_file(folder / "recipe.yaml")
    assert is_new(folder)
    (folder / ".notes.tmp").touch()
    assert not is_new(folder)


def test_files_that_others_begin_with_the_same_name_stay(tmp_path: Path) -> None:
    for name in (".out.csv.feathertune-abcd1234.tmp.bak", ".out.csv2.feathertune-abcd1234.tmp", ".out.csv.tmp"):
        (tmp_path / name).touch()
    left = temporary_file(tmp_path / "out.csv")
    remove_left_beside(tmp_path / "out.csv")
    assert not left.exists()
    assert len(list(tmp_path.iterdir())) == 3
