"""The models that a server has: the one it serves, and those that its page compares with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from feathertune.errors import UserError
from feathertune.export.exported import OnnxRuntimeName
from feathertune.folders.opened import OpenedRun
from feathertune.server.info import Info, describe, describe_before
from feathertune.server.settings import Settings
from feathertune.server.sources import Source, Sources
from feathertune.serving.predictor import Predictor

if TYPE_CHECKING:  # its module imports torch
    from feathertune.model.precision import Precision


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
    limits = replace(limits, name=None)  # it is called as its folder
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
