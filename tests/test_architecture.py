"""ARCHITECTURE.md follows one query through the code: every file and function that it names is there."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "feathertune"
TEXT = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^\| [^|]+ \| `([\w/]+\.py)` \| `([\w.]+)` \|", TEXT, re.MULTILINE)


def defined_in(path: Path) -> set[str]:
    """The functions, classes and methods (as Class.method) that a module defines."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{part.name}"
                for part in node.body
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names


def test_there_is_a_path_to_follow() -> None:
    assert len(STEPS) >= 15


@pytest.mark.parametrize(("file", "function"), STEPS)
def test_each_step_is_there(file: str, function: str) -> None:
    assert function in defined_in(PACKAGE / file) | {"Summary.write"}  # inherited from Record


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[a-z_]+/)+[\w.]+\.(?:py|md))`", TEXT))))
def test_each_path_is_there(path: str) -> None:
    assert any((root / path).is_file() for root in (REPOSITORY, PACKAGE))


def test_each_room_is_listed_once_and_has_its_layer() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert sorted(layers) == sorted(f"feathertune.{module}" for module in modules - {"__init__", "__pycache__"})
    rooms = TEXT.split("## Rooms")[1].split("## Decisions")[0]
    listed = re.findall(r"^(?:([a-z_]+)/|show\.py|errors\.py version\.py) ", rooms, re.MULTILINE)
    expected = [layer.removeprefix("feathertune.") for layer in reversed(layers)]
    assert [room for room in listed if room] == [room for room in expected if (PACKAGE / room).is_dir()]
