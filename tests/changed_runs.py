"""Made-up runs with another recipe or summary, as a report reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from feathertune.folders.run import RunFolder
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.report.facts import RunFacts
from feathertune.system.files import read_json
from made_up import made_up_run


def facts_of(folder: Path, *overrides: str, summary: dict[str, Any] | None = None, **settings: Any) -> RunFacts:
    """A made-up run, its recipe changed by `overrides`, its summary.json by the keys of `summary`."""
    run = made_up_run(folder, **settings)
    change(run.summary, summary or {})
    run.recipe.write_text(dump_recipe(load_recipe(run.recipe, list(overrides))), encoding="utf-8")
    return RunFacts(run, read_json(run.summary))


def rounded_facts(folder: Path, *overrides: str, training: dict[str, Any] | None = None, **summary: Any) -> RunFacts:
    """A run that goes on from the run `first` and is int4 in the end; `training` is that with the quantizers on."""
    whole = ("method=qat", "init_from=/somewhere/first", "quantize.weights=int4", *overrides)
    size = {"weights": "int4", "weights_bytes": 20_000_000, "float32_bytes": 80_000_000, "training": training}
    return facts_of(folder, *whole, summary={**summary, "quantization": size}, quantized=True)


def nothing_trained(folder: Path, **summary: Any) -> RunFacts:
    """A run that rounds another one and trains nothing."""
    numbers = {"epochs": 0, "best_epoch": 0, "train_seconds": 0.0, "train_examples_per_second": None}
    return rounded_facts(folder, "quantize.training=ptq", **numbers, **summary)


def baseline_facts(folder: Path) -> RunFacts:
    """A baseline: it has neither base nor epochs."""
    facts = facts_of(folder, "method=bag_of_words", summary={"epochs": 0, "best_epoch": 0})
    facts.run.base.unlink()
    facts.run.metrics.unlink()
    return RunFacts(RunFolder(folder), facts.summary)


def change(path: Path, values: dict[str, Any]) -> None:
    """Put `values` into a JSON file."""
    content = read_json(path) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")
