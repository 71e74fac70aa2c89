"""Reading and writing baselines as JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from feathertune.baselines.bag_of_words import BagOfWordsBaseline
from feathertune.baselines.baseline import Baseline, Floats
from feathertune.baselines.majority import MajorityBaseline
from feathertune.errors import UserError
from feathertune.system.files import read_json, write_json


def save_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline to a JSON file, atomically."""
    write_json(path, baseline.to_json())


def load_baseline(path: Path) -> Baseline:
    """Read a file by `save_baseline`: predictions are the same to the last bit. Raises UserError for other files."""
    value = read_json(path)
    try:
        names = tuple(value["label_names"])
        if "frequencies" in value:
            return MajorityBaseline(names, _finite(np.array(value["frequencies"], dtype=np.float64), path))
        columns = _finite(np.array(list(value["words"].values()), dtype=np.float64), path)
        bias_K = _finite(np.array(value["bias"], dtype=np.float64), path)
        return BagOfWordsBaseline(
            names, tuple(value["words"]), columns[:, 0], columns[:, 1:].T, bias_K, value["strength"]
        )
    except (KeyError, TypeError, ValueError, IndexError):
        raise UserError("this is not a baseline that Feathertune wrote", where=str(path)) from None


def _finite(numbers: Floats, path: Path) -> Floats:
    """The same numbers. Raises UserError for NaN and infinity, which Python reads from JSON although it has neither."""
    if not np.isfinite(numbers).all():
        raise UserError("the baseline's weights are broken: some are NaN or infinite", where=str(path))
    return numbers
