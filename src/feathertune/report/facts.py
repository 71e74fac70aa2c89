"""The content of a run folder's files, read once for the page, the card and the pictures.

Files that later versions of Feathertune introduced may be missing; those that every run has may not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from feathertune.folders.evaluation import CalibrationRecord, ErrorAnalysis
from feathertune.folders.inputs import BaseRecord, DataRecord, EnvironmentRecord
from feathertune.folders.metrics import Metrics
from feathertune.folders.run import RunFolder
from feathertune.folders.summary import STAGES, Summary
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import Recipe
from feathertune.report.history import History, read_history


@dataclass(frozen=True)
class RunFacts:
    """The files of one run. `summary` may belong to a run whose summary.json is not written yet."""

    run: RunFolder
    summary: Summary

    @property
    def split(self) -> str:
        """The split that the report presents first: test if there is one, else validation."""
        after = self.summary.after
        return next((name for name in ("test", "validation") if name in after), next(iter(after)))

    @property
    def after(self) -> Metrics:
        """The metrics of `split` after training."""
        return self.summary.after[self.split]

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe."""
        return load_recipe(self.run.recipe)

    @cached_property
    def recipe_text(self) -> str:
        """The recipe as it is written."""
        return self.run.recipe.read_text(encoding="utf-8")

    @cached_property
    def environment(self) -> EnvironmentRecord:
        """environment.json."""
        return EnvironmentRecord.read(self.run.environment)

    @cached_property
    def data(self) -> DataRecord:
        """data.json."""
        return DataRecord.read(self.run.data)

    @cached_property
    def base(self) -> BaseRecord | None:
        """base.json; None for a baseline, which has no base model."""
        return BaseRecord.read(self.run.base) if self.run.base.is_file() else None

    @cached_property
    def history(self) -> History:
        """The first training; of a model soup, that of its first member. Empty for a baseline, which has no steps."""
        members = self.summary.members
        path = self.run.member(members[0].seed).metrics if members else self.run.metrics
        return read_history(path) if path.is_file() else History((), ())

    @cached_property
    def qat_history(self) -> History | None:
        """Quantization-aware training, if it followed a first training."""
        return read_history(self.run.qat_metrics) if self.run.qat_metrics.is_file() else None

    @cached_property
    def predictions(self) -> dict[str, Predictions]:
        """Stage -> the predictions for `split`, if their file exists."""
        paths = {stage: self.run.predictions(stage, self.split) for stage in STAGES if self.summary.stage(stage)}
        return {stage: read_predictions(path, self.split) for stage, path in paths.items() if path.is_file()}

    @cached_property
    def calibration(self) -> CalibrationRecord | None:
        """calibration.json."""
        return CalibrationRecord.read(self.run.calibration) if self.run.calibration.is_file() else None

    @cached_property
    def errors(self) -> ErrorAnalysis | None:
        """evaluation/errors-{split}.json of `split`."""
        path = self.run.errors(self.split)
        return ErrorAnalysis.read(path) if path.is_file() else None

    def cross_fitted_stages(self, split: str) -> dict[str, Metrics]:
        """Stage -> metrics, cross-fitted if temperature or threshold were chosen on these very examples."""
        return {name: metrics.prefer_cross_fitted() for name, metrics in self.summary.stages(split).items()}
