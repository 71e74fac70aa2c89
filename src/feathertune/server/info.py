"""What `/info` says about a model, from the files of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from feathertune.folders.export import ExportDescription, ExportFolder
from feathertune.folders.inputs import BaseRecord
from feathertune.folders.opened import OpenedRun
from feathertune.folders.parity import Parity
from feathertune.folders.summary import Summary
from feathertune.server.settings import Settings
from feathertune.server.sources import BEFORE
from feathertune.serving.predictor import Predictor
from feathertune.version import __version__

_METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc", "ece", "loss")


class DecisionInfo(BaseModel):
    """How logits become labels."""

    temperature: float = Field(description="The logits are divided by it before the softmax.")
    threshold: float | None = Field(
        description="Of two labels: the second is given where its probability is at least this. null: the most "
        "likely of several labels is given."
    )


class Limits(BaseModel):
    """What the server allows; see docs/SERVING.md."""

    max_concurrent_requests: int
    max_texts: int
    max_request_tokens: int
    max_body_bytes: int


class Info(BaseModel):
    """The model, and what the server allows.

    `base_sha256`: file of the base model -> checksum; null for a baseline, an adapter, and exports of earlier versions.
    `evaluation`: split -> the metrics of the served model; of an export, of the split that it was checked on.
    """

    model_id: str
    base: str | None
    base_sha256: dict[str, str] | None
    method: str
    precision: str
    labels: list[str]
    max_length: int | None = Field(description="Tokens of a text that are read; null for a baseline.")
    decision: DecisionInfo
    evaluation: dict[str, dict[str, float | None]] | None
    limits: Limits
    beside: list[str] = Field(default=[], description="Paths of other models that the page compares with this one.")
    version: str


def describe(
    source: Path | OpenedRun, predictor: Predictor, settings: Settings, precision: str, beside: int = 0
) -> Info:
    """What is known about an export or a run, opened as `predictor`; a float model computes in `precision`.

    `beside` is the number of models that are served next to it.
    """
    about = _of_export(source) if isinstance(source, Path) else _of_run(source, precision)
    path = source if isinstance(source, Path) else source.folder.path
    decision, names = predictor.decision, predictor.label_names
    fields = {key: getattr(settings, key) for key in Limits.model_fields}
    return Info(
        model_id=settings.name or path.resolve().name,
        labels=list(names),
        max_length=predictor.max_length,
        decision=DecisionInfo(
            temperature=decision.temperature, threshold=decision.threshold if len(names) == 2 else None
        ),
        limits=Limits(**fields),
        beside=[f"beside/{number}" for number in range(1, beside + 1)],
        version=__version__,
        **about,
    )


def describe_before(opened: OpenedRun, predictor: Predictor, settings: Settings) -> Info:
    """What is known about a run's model before training, opened as `predictor`."""
    before = Summary.read(opened.folder.summary).before
    evaluation = {split: {name: metrics.value(name) for name in _METRICS} for split, metrics in before.items()}
    changes = {"model_id": BEFORE, "method": "before training", "evaluation": evaluation}
    return describe(opened, predictor, settings, "fp32").model_copy(update=changes)


def _of_export(path: Path) -> dict[str, Any]:
    folder = ExportFolder(path)
    description = ExportDescription.read(folder.description)
    evaluation = None
    if folder.parity.is_file():
        parity = Parity.read(folder.parity)
        values = {name: one["exported"] for name, one in parity.metrics.items() if name in _METRICS}
        evaluation = {parity.split: values} if values else None
    return {
        "base": description.model,
        "base_sha256": description.base_sha256,
        "method": description.method,
        "precision": description.precision,
        "evaluation": evaluation,
    }


def _of_run(opened: OpenedRun, precision: str) -> dict[str, Any]:
    folder, recipe = opened.folder, opened.recipe
    base = BaseRecord.read(folder.base) if folder.base.is_file() else None
    evaluation = None
    if not opened.is_adapter:
        summary = Summary.read(folder.summary)
        evaluation = {
            split: {name: metrics.value(name) for name in _METRICS} for split, metrics in summary.after.items()
        }
    return {
        "base": None if base is None else base.source,
        "base_sha256": None if base is None else base.sha256,
        "method": recipe.method,
        "precision": precision if recipe.quantize is None else recipe.quantize.weights,
        "evaluation": evaluation,
    }
