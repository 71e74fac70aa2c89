"""Other ways of predicting with an artefact than the first: another batch, another padding, PEFT, OpenVINO.

They must give the same logits. They predict a part of the rows, evenly spaced by length, the shortest and the longest
text among them, in the order of the data: a batch mixes lengths.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from feathertune.errors import UserError
from feathertune.export.exported import ExportedModel
from feathertune.export.parity import Outputs
from feathertune.folders.export import ExportFolder
from feathertune.folders.opened import OpenedRun
from feathertune.model.base import quiet
from feathertune.model.padding import pads_on_either_side
from feathertune.run.load import TrainedModel, base_files
from feathertune.system.machine import default_device

BATCH = 25  # texts
MAX_SINGLE = 100  # rows that are predicted one at a time
MAX_PADDED = 500  # rows that are predicted in padded batches, where that is not the first way

Predict = Callable[[Sequence[str], int], npt.NDArray[np.float32]]  # (texts, batch) -> logits [N, C]


@dataclass(frozen=True)
class Ways:
    """The outputs in other ways and in other runtimes, and the ways that were left out, each with its reason."""

    outputs: tuple[Outputs, ...] = ()
    not_checked: tuple[str, ...] = ()


def chosen_rows(texts: Sequence[str], limit: int) -> npt.NDArray[np.int64]:
    """At most `limit` indices of texts, evenly spaced by length, in ascending order."""
    by_length = np.argsort([len(text) for text in texts], kind="stable")
    places = np.linspace(0, len(texts) - 1, min(limit, len(texts))).round().astype(np.int64)
    return np.sort(by_length[np.unique(places)]).astype(np.int64)


def outputs_of(predict: Predict, how: str, texts: Sequence[str], batch: int, limit: int) -> Outputs:
    """The logits of some of the texts, in batches of `batch`."""
    rows_K = chosen_rows(texts, limit)
    return Outputs(how, predict([texts[row] for row in rows_K.tolist()], batch), rows_K)


def onnx_ways(folder: ExportFolder, texts: Sequence[str], _trained: TrainedModel, _base: str | None) -> Ways:
    """One text at a time, and padded batches: the first way has texts of one length in a batch. And by OpenVINO."""
    predict = ExportedModel(folder.path).padded_logits
    outputs = (
        outputs_of(predict, "one text at a time", texts, 1, MAX_SINGLE),
        outputs_of(predict, f"batches of {BATCH}, padded on the right", texts, BATCH, MAX_PADDED),
    )
    if importlib.util.find_spec("openvino") is None:
        return Ways(outputs, ("by OpenVINO, which is not installed",))
    try:
        predict = ExportedModel(folder.path, runtime="openvino").padded_logits
    except UserError as error:
        return Ways(outputs, (f"by OpenVINO: {error.what}",))
    how = f"OpenVINO, batches of {BATCH}, padded on the right"
    return Ways((*outputs, replace(outputs_of(predict, how, texts, BATCH, MAX_PADDED), decides=False)))


def executorch_ways(_folder: ExportFolder, _texts: Sequence[str], _trained: TrainedModel, _base: str | None) -> Ways:
    """None: the first way is one text at a time, and the program takes no more."""
    return Ways(not_checked=("in batches: the program takes one text at a time, which is the first way",))


def merged_ways(folder: ExportFolder, texts: Sequence[str], trained: TrainedModel, _base: str | None) -> Ways:
    """Transformers' `pipeline` with one text at a time, and with padding on the left."""
    with pipeline_of(folder, trained) as (predict, tokenizer):
        outputs = [outputs_of(predict, "pipeline, one text at a time", texts, 1, MAX_SINGLE)]
        if tokenizer.pad_token_id is None:
            reason = "in batches: the tokenizer has no pad token, and no special token that could be one"
            return Ways(tuple(outputs), (reason,))
        if not pads_on_either_side(trained.classifier):
            kind = trained.classifier.model.config.model_type
            reason = (
                f"padded on the left: in transformers, {kind} counts positions or pools from the first slot, padding "
                "included; the saved tokenizer pads on the right"
            )
            return Ways(tuple(outputs), (reason,))
        tokenizer.padding_side = "left"
        how = f"pipeline, batches of {BATCH}, padded on the left"
        return Ways((*outputs, outputs_of(predict, how, texts, BATCH, MAX_PADDED)))


def predict_merged(folder: ExportFolder, texts: Sequence[str], trained: TrainedModel, _base: str | None) -> Outputs:
    """The first way: all rows through `pipeline`, padded on the right, or one at a time if the tokenizer cannot pad."""
    with pipeline_of(folder, trained) as (predict, tokenizer):
        if tokenizer.pad_token_id is None:
            return Outputs("pipeline, one text at a time", predict(texts, 1))
        return Outputs(f"pipeline, batches of {BATCH}, padded on the right", predict(texts, BATCH))


@contextmanager
def pipeline_of(folder: ExportFolder, trained: TrainedModel) -> Iterator[tuple[Predict, Any]]:
    """Transformers' pipeline for the folder, as logits instead of scores, and its tokenizer."""
    from transformers import pipeline

    parallel = os.environ.get("TOKENIZERS_PARALLELISM")
    with quiet():
        classify: Any = pipeline("text-classification", model=str(folder.path), device=default_device(), top_k=None)

    def predict(texts: Sequence[str], batch: int) -> npt.NDArray[np.float32]:
        outputs = classify(list(texts), batch_size=batch, truncation=True, function_to_apply="none")
        scores = [{one["label"]: one["score"] for one in row} for row in outputs]
        names = trained.classifier.label_names
        return np.array([[row[name] for name in names] for row in scores], dtype=np.float32)

    try:
        yield predict, classify.tokenizer
    finally:
        if parallel is None:  # the pipeline sets it, and this process goes on
            os.environ.pop("TOKENIZERS_PARALLELISM", None)


def adapter_ways(folder: ExportFolder, texts: Sequence[str], trained: TrainedModel, base: str | None) -> Ways:
    """PEFT on transformers' own model of the base: one text at a time, and padded batches."""
    try:
        import peft
    except ImportError:
        return Ways(not_checked=("by PEFT, which is not installed: the adapter was read by Feathertune alone",))
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    files = base_files(OpenedRun(trained.run, trained.recipe), base)
    gguf = {} if files.gguf_file is None else {"gguf_file": files.gguf_file}
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder.path, local_files_only=True)
        plain: Any = AutoModelForSequenceClassification.from_pretrained(
            files.folder,
            num_labels=len(trained.classifier.label_names),
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            local_files_only=True,
            **gguf,
        )
        plain.config.pad_token_id = tokenizer.pad_token_id
        model: Any = peft.PeftModel.from_pretrained(plain, folder.path, local_files_only=True)
    model.to(default_device()).eval()

    def predict(texts: Sequence[str], batch: int) -> npt.NDArray[np.float32]:
        parts = [list(texts[begin : begin + batch]) for begin in range(0, len(texts), batch)]
        with torch.inference_mode(), quiet():
            return np.concatenate([_logits(model, tokenizer, part, batch > 1) for part in parts])

    outputs = [outputs_of(predict, "PEFT, one text at a time", texts, 1, MAX_SINGLE)]
    if tokenizer.pad_token_id is None:
        return Ways(tuple(outputs), ("by PEFT in batches: the tokenizer has no pad token",))
    return Ways(
        (*outputs, outputs_of(predict, f"PEFT, batches of {BATCH}, padded on the right", texts, BATCH, MAX_PADDED))
    )


def _logits(model: Any, tokenizer: Any, texts: list[str], padding: bool) -> npt.NDArray[np.float32]:
    inputs = tokenizer(texts, padding=padding, truncation=True, return_tensors="pt")
    logits_BC: npt.NDArray[np.float32] = model(**inputs.to(model.device)).logits.float().cpu().numpy()
    return logits_BC
