"""Reports of every kind, with ordinary and with hostile texts, each written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from feathertune.report.writing import write_report
from made_up import HOSTILE, HOSTILE_NAMES, made_up_comparison, made_up_run, made_up_search


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> report.html."""
    place = tmp_path_factory.mktemp("reports")
    folders = [
        made_up_run(place / "run").path,
        made_up_run(place / "quantized", method="qat", quantized=True, split="test").path,
        made_up_run(place / "twenty", names=[f"class {index}" for index in range(20)], count=400).path,
        made_up_run(place / "hostile", texts=HOSTILE, names=HOSTILE_NAMES).path,
        made_up_comparison(place / "comparison"),
        made_up_comparison(place / "hostile-comparison", names=HOSTILE[:3]),
        made_up_search(place / "search"),
        made_up_search(place / "hostile-search", name=HOSTILE_NAMES[1]),
    ]
    return {folder.name: write_report(folder) for folder in folders}
