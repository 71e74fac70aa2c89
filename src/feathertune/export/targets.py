"""The export targets: how each is written, and how its artefact is asked. To add one, add an entry to `TARGETS`."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError
from feathertune.export.export_folder import ExportFolder, Target
from feathertune.export.onnx import require_onnx, write_onnx
from feathertune.export.padded import PaddedClassifier
from feathertune.files import write_json, write_text
from feathertune.model.precision import Precision
from feathertune.trained import TrainedModel


@dataclass(frozen=True)
class ExportTarget:
    """One target.

    Attributes:
        write: writes the artefact of a trained model, which it may take over.
        ask: the artefact's logits [N, C] for N texts, by the runtime it is meant for.
        require: raises UserError where an extra is missing.
        computes_in: the precision in which the float32 weights are loaded; None: the run's own.
        inputs: for a person: what the artefact takes and gives.
    """

    write: Callable[[TrainedModel, ExportFolder], None]
    ask: Callable[[ExportFolder, Sequence[str]], npt.NDArray[np.float32]]
    require: Callable[[], None]
    computes_in: Precision | None
    inputs: str


def _write_onnx(trained: TrainedModel, folder: ExportFolder) -> None:
    config = copy.deepcopy(trained.classifier.model.config)
    _write_tokenizer_and_labels(trained, folder)
    write_onnx(PaddedClassifier(trained.classifier), folder.onnx, trained.max_length)
    write_text(folder.path / "config.json", config.to_json_string(use_diff=False))


def _write_tokenizer_and_labels(trained: TrainedModel, folder: ExportFolder) -> None:
    """A tokenizer.json that cuts long texts by itself, so that nobody has to know how."""
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_str(trained.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(trained.max_length)
    write_text(folder.tokenizer, tokenizer.to_str(pretty=False))
    write_json(folder.labels, list(trained.classifier.label_names))


def _ask_exported(folder: ExportFolder, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    from feathertune.serving.exported import ExportedModel

    return ExportedModel(folder.path).logits(texts)


_PADDED = (
    "input_ids and attention_mask [batch, sequence] int64, padded on the right with any id -> logits [batch, classes]"
)

TARGETS: dict[Target, ExportTarget] = {
    "onnx": ExportTarget(_write_onnx, _ask_exported, require_onnx, "fp32", _PADDED),
}
