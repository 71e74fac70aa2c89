"""A comparison on the terminal: what is in the tables, and that they fit."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from feathertune.folders.comparison import Comparison
from feathertune.terminal.comparison_tables import comparison_table
from made_up import made_up_comparison


def rendered(comparison: Comparison) -> list[str]:
    file = io.StringIO()
    Console(width=100, file=file).print(comparison_table(comparison))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_every_method_is_a_row_of_metrics_and_of_costs(tmp_path: Path) -> None:
    comparison = Comparison.read(made_up_comparison(tmp_path) / "comparison.json")
    lines = rendered(comparison)
    assert [line for line in lines if "examples, " in line] == [
        "validation, 3,750 examples, 3 seeds",
        "test, 1,200 examples, 3 seeds",
    ]
    lora = [" ".join(line.split()) for line in lines if line.startswith(" LoRA ")]
    assert lora[:2] == [
        "LoRA 50.0% 81.0% 79.0 to 83.0% 81.0% 81.0% 81.0% 81.0% 81.0%",
        "LoRA 50.0% 80.0% 78.0 to 82.0% 80.0% 80.0% 80.0% 80.0% 80.0%",
    ]
    assert lora[2] == "LoRA 1 min 40 s 200 1,000 900 19.5 KiB 81.1 MiB 3.25 ms"
    assert lines[-1] == "note: A note."


def test_the_widest_numbers_fit_100_columns(tmp_path: Path) -> None:
    path = made_up_comparison(tmp_path) / "comparison.json"
    text = path.read_text(encoding="utf-8")
    for old, new in (("method0", "lora"), ("method1", "full"), ("method2", "majority")):
        text = text.replace(f'"{old}"', f'"{new}"')
    content = json.loads(text)
    for method in content["methods"]:
        method |= {
            "train_seconds": 35_999.0,
            "train_examples_per_second": 99_999.0,
            "trainable_parameters": 1_235_814_400,
            "peak_memory_mib": 123_456.0,
            "artefact_bytes": 999 * 2**20,
            "deployed_bytes": 999 * 2**20,
            "latency_ms": 1234.56,
        }
        for estimates in method["metrics"].values():
            estimates["accuracy"] = {"value": 1.0, "low": 0.9999, "high": 1.0}
    lines = rendered(Comparison.of(content, where="comparison.json"))
    assert max(map(len, lines)) <= 100
    assert not any("…" in line for line in lines)
    assert any(line.startswith(" full ") for line in lines)
    assert any(line.startswith(" majority ") for line in lines)
