"""The wheel is complete: installed elsewhere, it finds its recipes and its sample without the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

CHECK = """
import json, feathertune
from feathertune.data.loading import load_dataset
from feathertune.recipe.files import load_recipe, shipped_recipes
recipe = load_recipe(shipped_recipes()["quickstart"])
splits = load_dataset(recipe.data, 0).splits
print(json.dumps({"file": feathertune.__file__, "recipes": sorted(shipped_recipes()), "train": len(splits["train"])}))
"""


@pytest.mark.slow
def test_the_wheel_installs_without_the_repository(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, REPOSITORY], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("feathertune-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True, cwd=tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", CHECK], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    result = json.loads(done.stdout)
    assert Path(result["file"]).is_relative_to(site)
    assert result["recipes"] == sorted(path.stem for path in (REPOSITORY / "recipes").glob("*.yaml"))
    assert result["train"] > 1000
    assert (site / "feathertune" / "py.typed").is_file()
    templates = {path.name for path in (site / "feathertune" / "report" / "templates").iterdir()}
    assert {"layout.html", "run.html", "comparison.html", "search.html", "style.css"} <= templates
    web = {path.relative_to(REPOSITORY / "src") for path in (REPOSITORY / "src" / "feathertune" / "web").rglob("*.*")}
    pages = {path for path in web if path.suffix not in (".py", ".pyc")}
    assert {path.name for path in pages} >= {"index.html", "engine.js", "gate.js", "package-lock.json"}
    assert all((site / path).is_file() for path in pages)
    assert list(site.glob("feathertune-*.dist-info/licenses/LICENSE"))
