"""What a run folder's files say, read once for the page, the card and the pictures.

Files that came with later versions of Feathertune may be missing; what every run has may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from feathertune.folders.run import RunFolder
from feathertune.folders.summary import Stage
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import Recipe
from feathertune.report.history import History, read_history
from feathertune.system.files import read_json

STAGES: tuple[Stage, ...] = ("before", "float", "ptq", "after")


@dataclass(frozen=True)
class RunFacts:
    """One run's files. `summary` may be that of a run whose summary.json is about to be written."""

    run: RunFolder
    summary: Mapping[str, Any]

    @property
    def split(self) -> str:
        """The split that the report speaks of first: test where there is one, else validation."""
        after = self.summary["after"]
        return next((name for name in ("test", "validation") if name in after), next(iter(after)))

    @property
    def members(self) -> list[dict[str, Any]]:
        """The adapters that were averaged; none where one was trained."""
        return list(self.summary.get("members", []))

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe."""
        return load_recipe(self.run.recipe)

    @cached_property
    def recipe_text(self) -> str:
        """The recipe as it is written."""
        return self.run.recipe.read_text(encoding="utf-8")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """environment.json."""
        return dict(read_json(self.run.environment))

    @cached_property
    def data(self) -> dict[str, Any]:
        """data.json."""
        return dict(read_json(self.run.data))

    @cached_property
    def base(self) -> dict[str, Any] | None:
        """base.json; a baseline has no base."""
        return dict(read_json(self.run.base)) if self.run.base.is_file() else None

    @cached_property
    def history(self) -> History:
        """The training; empty for a baseline, which has no steps. Of several adapters the first one's."""
        path = self.run.metrics if not self.members else self.run.member(self.members[0]["seed"]).metrics
        return read_history(path) if path.is_file() else History((), ())

    @cached_property
    def qat_history(self) -> History | None:
        """The training with quantizers on, where that came second."""
        return read_history(self.run.qat_metrics) if self.run.qat_metrics.is_file() else None

    @cached_property
    def predictions(self) -> dict[str, Predictions]:
        """Stage -> the answers for `split`, as far as their files are there."""
        paths = {stage: self.run.predictions(stage, self.split) for stage in STAGES if self.summary.get(stage)}
        return {stage: read_predictions(path, self.split) for stage, path in paths.items() if path.is_file()}

    @cached_property
    def calibration(self) -> dict[str, Any] | None:
        """calibration.json."""
        return dict(read_json(self.run.calibration)) if self.run.calibration.is_file() else None

    @cached_property
    def errors(self) -> dict[str, Any] | None:
        """evaluation/errors-{split}.json of `split`."""
        path = self.run.errors(self.split)
        return dict(read_json(path)) if path.is_file() else None

    def stages(self, split: str) -> dict[str, Mapping[str, Any]]:
        """Stage -> the metrics of one split; 'majority' too."""
        names = ("majority", *STAGES)
        return {name: self.summary[name][split] for name in names if split in self.summary.get(name, {})}

    def cross_fitted_stages(self, split: str) -> dict[str, Mapping[str, Any]]:
        """`stages`, without what flatters where temperature or threshold were chosen on these very examples."""
        return {name: fair(metrics) for name, metrics in self.stages(split).items()}


def fair(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metrics, those that were cross-fitted in the place of those that flatter."""
    return {**metrics, **(metrics.get("cross_fitted") or {})}
