"""The models that a server has: the one it serves, and those that its page compares with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feathertune.errors import UserError
from feathertune.export.exported import OnnxRuntimeName
from feathertune.folders.adapter import is_adapter
from feathertune.folders.export import ExportDescription, ExportFolder, is_export
from feathertune.folders.opened import OpenedRun
from feathertune.recipe.schema import BASELINES
from feathertune.server.info import BEFORE, Info, describe, describe_before
from feathertune.server.settings import Settings
from feathertune.serving.predictor import Predictor
from feathertune.system.cores import usable_cores
from feathertune.system.machine import default_device

if TYPE_CHECKING:  # its module imports torch
    from feathertune.model.precision import Precision

MAX_BESIDE = 2
MAX_WORKERS = 8  # by default: more would mostly wait for Python's lock

Source = Path | OpenedRun  # an export, or a run


@dataclass(frozen=True)
class Sources:
    """What is served, found but not loaded.

    Attributes:
        main: the model.
        beside: others that the page compares with it; `before` for the run's base with its untrained head.
    """

    main: Source
    beside: tuple[Source | str, ...] = ()


def find_sources(run: Path, beside: Sequence[str], settings: Sequence[str]) -> Sources:
    """Open the folders, without torch. Raises UserError if one cannot be served, or if there are too many."""
    if len(beside) > MAX_BESIDE:
        raise UserError(f"a page compares {MAX_BESIDE + 1} models at most", where="--beside", fix="Give it twice.")
    main = _find(run, settings)
    if BEFORE in beside and not isinstance(main, OpenedRun):
        raise UserError("an export has no model from before training", where="--beside before", fix="Serve the run.")
    return Sources(main, tuple(one if one == BEFORE else _find(Path(one), ()) for one in beside))


def _find(path: Path, settings: Sequence[str]) -> Source:
    if not is_export(path) or is_adapter(path):
        return OpenedRun.at(path, settings)
    if settings:
        raise UserError(f"--set {settings[0]}: an export has its own settings", fix="Leave --set out.")
    return path


def share_cores(sources: Sources, runtime: OnnxRuntimeName | None, workers: int | None) -> tuple[int, int]:
    """How many batches are computed at the same time, by default as many as there are cores, and threads for each."""
    cores = usable_cores()
    if workers is None:
        workers = 1 if _computes_alone(sources.main, runtime) else min(cores, MAX_WORKERS)
    return workers, max(1, cores // workers)


def _computes_alone(source: Source, runtime: OnnxRuntimeName | None) -> bool:
    """Whether a second batch at the same time would only wait: for a GPU, or a runtime that takes one at a time."""
    if isinstance(source, Path):
        return runtime == "openvino" or ExportDescription.read(ExportFolder(source).description).target == "executorch"
    if source.recipe.method in BASELINES:
        return False
    return default_device().type == "cuda"


def load_models(
    sources: Sources,
    limits: Settings,
    threads: int | None = None,
    *,
    base: str | None = None,
    precision: Precision = "fp32",
    runtime: OnnxRuntimeName | None = None,
) -> list[tuple[Predictor, Info]]:
    """Load the models; `base`, `precision` and `runtime` are the served one's, and `threads` those of a batch.

    Raises:
        UserError: of `Predictor`; or a model beside it has other labels, or the name of another.
    """
    predictor = Predictor(
        sources.main, base=base, precision=precision, runtime=runtime, independent=True, threads=threads
    )
    info = describe(sources.main, predictor, limits, precision, beside=len(sources.beside))
    models = [(predictor, info)]
    for source in sources.beside:
        other = _load_beside(source, sources, limits, base, threads)
        _check(other[1], models)
        models.append(other)
    return models


def _load_beside(
    source: Source | str, sources: Sources, limits: Settings, base: str | None, threads: int | None
) -> tuple[Predictor, Info]:
    limits = limits.without_name()
    if not isinstance(source, str):
        predictor = Predictor(source, independent=True, threads=threads)
        return predictor, describe(source, predictor, limits, "fp32")
    from feathertune.run.untrained import load_untrained

    assert isinstance(sources.main, OpenedRun)
    predictor = Predictor(load_untrained(sources.main, base), independent=True, threads=threads)
    return predictor, describe_before(sources.main, predictor, limits)


def _check(info: Info, models: Sequence[tuple[Predictor, Info]]) -> None:
    main = models[0][1]
    if sorted(info.labels) != sorted(main.labels):
        raise UserError(
            f"its labels are {', '.join(info.labels)}, and those of {main.model_id} are {', '.join(main.labels)}",
            where=f"--beside {info.model_id}",
            fix="Models are compared on the same labels.",
        )
    if info.model_id in [one.model_id for _, one in models]:
        raise UserError(
            "two models would have this name",
            where=f"--beside {info.model_id}",
            fix="A model is called as its folder; --name names the first one.",
        )
