"""Made-up runs with another recipe or summary, as a report reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Summary
from feathertune.recipe.files import dump_recipe, load_recipe
from feathertune.report.facts import RunFacts
from feathertune.system.files import read_json
from made_up import made_up_run

CROSS_FITTED: dict[str, Any] = {
    "accuracy": 0.512,
    "loss": 0.7,
    "f1": 0.5,
    "precision": 0.4,
    "recall": 0.6,
    "ece": 0.1,
    "intervals": {"accuracy": [0.45, 0.57]},
}


def facts_of(folder: Path, *overrides: str, summary: dict[str, Any] | None = None, **settings: Any) -> RunFacts:
    """A made-up run with `overrides` in its recipe and the keys of `summary` in its summary.json."""
    run = made_up_run(folder, **settings)
    change(run.summary, summary or {})
    run.recipe.write_text(dump_recipe(load_recipe(run.recipe, list(overrides))), encoding="utf-8")
    return read_facts(folder)


def read_facts(folder: Path) -> RunFacts:
    """The facts of a run folder."""
    run = RunFolder(folder)
    return RunFacts(run, Summary.read(run.summary))


def with_metrics(facts: RunFacts, stage: str, **changes: Any) -> RunFacts:
    """The facts of the run with other metrics of its main split at a stage, in summary.json too."""
    by_split = read_json(facts.run.summary)[stage]
    by_split[facts.split] |= changes
    change(facts.run.summary, {stage: by_split})
    return read_facts(facts.run.path)


def quantized_facts(folder: Path, *overrides: str, training: dict[str, Any] | None = None, **summary: Any) -> RunFacts:
    """A run that starts from the run `first` and ends in int4; `training` is its quantization-aware training."""
    whole = ("method=qat", "init_from=/somewhere/first", "quantize.weights=int4", *overrides)
    size = {"weights": "int4", "weights_bytes": 20_000_000, "float32_bytes": 80_000_000, "training": training}
    return facts_of(folder, *whole, summary={**summary, "quantization": size}, quantized=True)


def ptq_facts(folder: Path, **summary: Any) -> RunFacts:
    """A run that quantizes another one without further training."""
    numbers = {"epochs": 0, "best_epoch": 0, "train_seconds": 0.0, "train_examples_per_second": None}
    return quantized_facts(folder, "quantize.training=ptq", ptq=None, **numbers, **summary)


def baseline_facts(folder: Path) -> RunFacts:
    """A baseline: it has no base and no epochs."""
    facts = facts_of(folder, "method=bag_of_words", summary={"epochs": 0, "best_epoch": 0})
    facts.run.base.unlink()
    facts.run.metrics.unlink()
    return read_facts(folder)


def change(path: Path, values: dict[str, Any]) -> None:
    """Put `values` into a JSON file."""
    content = read_json(path) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")
