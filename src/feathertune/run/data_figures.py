"""The figures of `inspect data --figures`: lengths and labels of each split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from feathertune.data.example import Dataset


def draw_data(
    dataset: Dataset, tokens: Mapping[str, npt.NDArray[np.int64]] | None, folder: Path, max_length: int
) -> list[Path]:
    """Draw characters.png, tokens.png (where tokens are counted) and labels.png into a folder. Returns their paths."""
    from feathertune.report.figures.canvas import save_png  # Matplotlib takes a second to import
    from feathertune.report.figures.data import label_shares_figure, text_lengths_figure

    splits, names = dataset.splits, dataset.label_names
    characters = {name: pc.utf8_length(split.texts).to_numpy().astype(np.int64) for name, split in splits.items()}
    labels = {
        name: dict(zip(names, np.bincount(split.labels, minlength=len(names)).tolist(), strict=True))
        for name, split in splits.items()
    }
    pictures = {"characters": text_lengths_figure(characters, "characters"), "labels": label_shares_figure(labels)}
    if tokens is not None:
        pictures["tokens"] = text_lengths_figure(tokens, "tokens", max_length)
    folder.mkdir(parents=True, exist_ok=True)
    return [save_png(figure, folder / f"{name}.png") for name, figure in pictures.items()]
