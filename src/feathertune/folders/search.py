"""The folder of a search: its file names, and tune.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.folders.record import Part, Record
from feathertune.folders.reported import ReportedFolder
from feathertune.folders.run import RunFolder


@dataclass(frozen=True)
class SearchFolder(ReportedFolder):
    """Names inside the folder of a search.

    ```
    recipe.yaml study.db tune.json best.yaml README.md report.html figures/
    trials/trial-NNNN/ (run folders, without checkpoints)
    ```
    """

    @property
    def study(self) -> Path:
        """Optuna's database (SQLite)."""
        return self.path / "study.db"

    def databases(self) -> list[Path]:
        """Optuna's database, and SQLite's temporary files next to it."""
        return sorted(self.path.glob(f"{self.study.name}*"))

    @property
    def result(self) -> Path:
        """Every trial so far, the best one, and the importance of each key."""
        return self.path / "tune.json"

    @property
    def best(self) -> Path:
        """The recipe of the best trial, ready to train."""
        return self.path / "best.yaml"

    @property
    def trials(self) -> Path:
        """The trials' run folders."""
        return self.path / "trials"

    def trial(self, number: int) -> RunFolder:
        """The folder of one trial."""
        return RunFolder(self.trials / f"trial-{number:04d}")


class Trial(Part):
    """One trial.

    Attributes:
        number: 0-based.
        state: complete, pruned, failed (it diverged, or its values do not go together) or interrupted.
        value: the metric; None unless complete.
        params: key of the recipe -> value.
        epochs: epoch -> metric.
        seconds: the time of the whole trial, loading and evaluation included.
        reason: why it is not complete.
        run: its run folder, relative to the search's.
    """

    number: int
    state: str
    value: float | None
    params: dict[str, Any]
    epochs: dict[str, float] = {}
    seconds: float | None = None
    reason: str | None = None
    run: str = ""


class BestTrial(Part):
    """The best trial so far."""

    number: int
    value: float
    params: dict[str, Any]
    run: str = ""


class Search(Record):
    """The content of tune.json.

    Attributes:
        metric, split: what trials are compared by.
        maximized: whether a larger value is better.
        search: the recipe's `search` section.
        trials: in the order in which they began.
        best: None if no trial is complete.
        importances: key -> the share of the variation between trials that it explains; empty if it is not known.
        note: a sentence for the reader.
    """

    metric: str = "value"
    split: str = "validation"
    maximized: bool
    search: dict[str, Any] = {}
    trials: tuple[Trial, ...]
    best: BestTrial | None = None
    importances: dict[str, float] = {}
    note: str = ""

    @property
    def ranked(self) -> list[Trial]:
        """The complete trials, best first."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        sign = -1 if self.maximized else 1
        return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
