"""What the export of an adapter is compared with: a run has evaluated predictions, an adapter alone has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from feathertune.data.rows import Row
from feathertune.data.sources import open_source
from feathertune.data.texts import StoredTexts
from feathertune.prediction.inference import predict_logits, predict_split
from feathertune.prediction.predictions import Predictions
from feathertune.run.evaluate import labelled
from feathertune.run.load import TrainedModel

_TEXT = "content"  # the sample's column of texts


def predict_now(
    trained: TrainedModel, data: Path | None, say: Callable[[str], object] | None
) -> tuple[Predictions, bool]:
    """An adapter's predictions for labelled data, or for the built-in sample's texts. Whether the labels are true."""
    if data is not None:
        split = labelled(trained, data, say)
        texts = trained.tokenize(StoredTexts(split.texts), split.place)
        return replace(predict_split(trained.classifier, split, texts), decision=trained.decision), True
    if say is not None:
        say("note: without --data, predictions are compared on the texts of the built-in sample; no metrics are")
    sample = open_source("sample").splits["validation"]
    rows = [row for row in sample.read(None) if isinstance(row, Row)]
    strings = [str(row.fields[_TEXT]) for row in rows]
    logits_NC = predict_logits(trained.classifier, trained.tokenize(strings))
    unlabelled = Predictions(
        split="the built-in sample, texts only",
        label_names=trained.classifier.label_names,
        rows=np.array([row.row for row in rows]),
        texts=strings,
        labels=np.zeros(len(rows), dtype=np.int64),
        ratings=None,
        logits_NC=logits_NC,
        decision=trained.decision,
    )
    return unlabelled, False
