"""The costs of a finished run's model: its size in bytes, and its latency in milliseconds per text."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np

from feathertune.folders.evaluation import LatencyRecord
from feathertune.folders.inputs import BaseRecord
from feathertune.folders.run import RunFolder
from feathertune.prediction.files import read_predictions
from feathertune.tokens.run_tokenizer import SAVED

QUERIES = 100  # texts that are timed, one at a time
WARM_UP = 10


def artefact_bytes(run: RunFolder) -> int:
    """The size of what training produced: the adapter with its head, a whole model, a quantized one, or a baseline.

    An adapter's size is without the tokenizer beside it, which is the base's.
    """
    for place in (run.quantized, run.model, run.adapter, run.baseline):
        if place.exists():
            left_out = SAVED if place == run.adapter else ()
            return sum(path.stat().st_size for path in _files(place) if path.name not in left_out)
    raise AssertionError(f"{run.path} is finished and has no artefact")


def deployed_bytes(run: RunFolder) -> int:
    """The same, with the base's weights and tokenizer if the artefact cannot predict without them."""
    size = artefact_bytes(run)
    if run.quantized.exists() or not run.adapter.exists():
        return size
    base = BaseRecord.read(run.base)
    folder = Path(base.folder)
    if folder.is_file():  # a GGUF file holds everything
        return size + folder.stat().st_size
    return size + sum((folder / name).stat().st_size for name in base.sha256)


def latency_ms(run: RunFolder, split: str) -> float:
    """The median milliseconds per prediction, one text at a time, over texts spread across `split`.

    It is measured once and kept in the run's latency.json. Nothing else should run meanwhile.
    """
    if not run.latency.is_file():
        _measure(run, split).write(run.latency)
    return LatencyRecord.read(run.latency).median_ms


def _measure(run: RunFolder, split: str) -> LatencyRecord:
    import torch

    from feathertune.serving.predictor import Predictor

    texts = read_predictions(run.predictions("after", split), split).texts
    queries = [texts[index] for index in np.linspace(0, len(texts) - 1, QUERIES).round().astype(int).tolist()]
    predictor = Predictor(run.path)
    for text in queries[:WARM_UP]:
        predictor.predict(text)
    milliseconds = []
    for text in queries:
        start = time.perf_counter()
        predictor.predict(text)
        milliseconds.append(1000 * (time.perf_counter() - start))
    low, high = np.quantile(milliseconds, [0.1, 0.9]).tolist()
    return LatencyRecord(
        median_ms=median(milliseconds),
        low_decile_ms=low,
        high_decile_ms=high,
        queries=len(queries),
        split=split,
        threads=torch.get_num_threads(),
    )


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
