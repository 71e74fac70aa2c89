"""The packages for browsers: pinned, fetched by a command, and never taken unchecked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from browsers import NEEDS_PACKAGES
from feathertune.errors import UserError
from feathertune.web import packages
from feathertune.web.packages import FILES, fetch_packages, packages_folder, require_packages

LOCK = Path(packages.__file__).parent / "npm"


@pytest.fixture
def installed() -> Path:
    """Where the packages of this machine are."""
    return packages_folder()


@pytest.fixture
def modules(installed: Path, tmp_path: Path) -> Path:
    """A node_modules folder with the files."""
    for name, file in FILES.items():
        place = tmp_path / "node_modules" / file.place
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(installed / name, place)
    return tmp_path / "node_modules"


def test_the_packages_are_pinned_by_their_content() -> None:
    """Without addresses: a registry's mirror serves the same content."""
    lock = json.loads((LOCK / "package-lock.json").read_text())
    wanted = json.loads((LOCK / "package.json").read_text())["dependencies"]
    own = lock["packages"].pop("")
    assert own["dependencies"] == wanted
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all(package["integrity"].startswith("sha512-") for package in lock["packages"].values())
    assert "://" not in (LOCK / "package-lock.json").read_text()


def test_where_they_are_missing_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATHERTUNE_CACHE", str(tmp_path))
    with pytest.raises(UserError) as error:
        require_packages()
    assert error.value.where == str(tmp_path / "web" / "onnxruntime-web.js")
    assert error.value.fix == "Run: feathertune web-packages"


@NEEDS_PACKAGES
def test_they_are_taken_from_a_folder_and_replace_what_is_damaged(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATHERTUNE_CACHE", str(tmp_path / "cache"))
    assert fetch_packages(modules) == require_packages() == tmp_path / "cache" / "web"
    (tmp_path / "cache" / "web" / "tokenizers.js").write_text("changed")
    with pytest.raises(UserError, match="not the pinned version"):
        require_packages()
    fetch_packages(modules)
    assert sorted(path.name for path in require_packages().iterdir()) == sorted(FILES)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["web"]


@NEEDS_PACKAGES
def test_another_version_is_refused_and_the_old_files_stay(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATHERTUNE_CACHE", str(tmp_path / "cache"))
    fetch_packages(modules)
    changed = modules / FILES["tokenizers.js"].place
    changed.write_bytes(changed.read_bytes() + b"//")
    with pytest.raises(UserError, match="not the pinned version") as error:
        fetch_packages(modules)
    assert error.value.where == str(changed)
    require_packages()


@pytest.mark.parametrize(
    ("npm", "what"),
    [
        (None, "npm is not installed, which fetches the packages"),
        ("echo 'npm error code E404 no such package' >&2; exit 1", "npm failed: npm error code E404 no such package"),
    ],
)
def test_npm_that_fails_or_is_missing_is_one_error(
    npm: Any, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATHERTUNE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    if npm is not None:
        (tmp_path / "bin" / "npm").write_text(f"#!/bin/sh\n{npm}\n")
        (tmp_path / "bin" / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UserError) as error:
        fetch_packages()
    assert error.value.what == what
    assert "--from NODE_MODULES" in error.value.fix
    assert list((tmp_path / "cache").iterdir()) == []
