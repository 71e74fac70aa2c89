"""What a server is to serve, found and checked before anything is loaded: models, cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feathertune.errors import UserError
from feathertune.folders.adapter import is_adapter
from feathertune.folders.export import ExportDescription, ExportFolder, is_export
from feathertune.folders.opened import OpenedRun
from feathertune.recipe.schema import BASELINES
from feathertune.system.cores import usable_cores
from feathertune.system.machine import default_device
from feathertune.web.pages import MAX_BESIDE

if TYPE_CHECKING:  # its module imports what takes time
    from feathertune.export.exported import OnnxRuntimeName

BEFORE = "before"  # the model of a run before training
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
