"""What a finished run's model costs whoever uses it: bytes, and milliseconds a text."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from feathertune.folders.run import RunFolder
from feathertune.prediction.files import read_predictions
from feathertune.system.files import read_json, write_json

QUERIES = 100  # texts asked one at a time
WARM_UP = 10


def artefact_bytes(run: RunFolder) -> int:
    """What training left to deploy: the adapter with its head, the whole model, the integers, or the baseline."""
    for place in (run.quantized, run.model, run.adapter, run.baseline):
        if place.exists():
            return sum(path.stat().st_size for path in _files(place))
    raise AssertionError(f"{run.path} is finished and has no artefact")


def deployed_bytes(run: RunFolder) -> int:
    """The same with the base's weights and tokenizer, where the artefact cannot answer without them."""
    size = artefact_bytes(run)
    if run.quantized.exists() or not run.adapter.exists():
        return size
    base = read_json(run.base)
    folder = Path(base["folder"])
    if folder.is_file():  # a GGUF file is all of it
        return size + folder.stat().st_size
    sizes: list[int] = [(folder / name).stat().st_size for name in base["sha256"]]
    return size + sum(sizes)


def latency_ms(run: RunFolder, split: str) -> float:
    """The median milliseconds from a text to its answer, one text at a time, spread over `split`; measured once.

    Nothing else should run meanwhile. The figure is kept in the run's latency.json.
    """
    if not run.latency.is_file():
        write_json(run.latency, _measure(run, split))
    return float(read_json(run.latency)["median_ms"])


def _measure(run: RunFolder, split: str) -> dict[str, Any]:
    import torch

    from feathertune.serving.predictor import Predictor

    texts = read_predictions(run.predictions("after", split), split).texts
    asked = [texts[index] for index in np.linspace(0, len(texts) - 1, QUERIES).round().astype(int).tolist()]
    predictor = Predictor(run.path)
    for text in asked[:WARM_UP]:
        predictor.predict(text)
    milliseconds = []
    for text in asked:
        began = time.perf_counter()
        predictor.predict(text)
        milliseconds.append(1000 * (time.perf_counter() - began))
    low, high = np.quantile(milliseconds, [0.1, 0.9]).tolist()
    return {
        "median_ms": median(milliseconds),
        "low_decile_ms": low,
        "high_decile_ms": high,
        "queries": len(asked),
        "split": split,
        "threads": torch.get_num_threads(),
    }


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
