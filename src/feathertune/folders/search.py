"""The folder of a search: its file names, and tune.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.folders.record import Part, Record
from feathertune.folders.run import RunFolder


@dataclass(frozen=True)
class SearchFolder:
    """Names inside the folder of a search.

    ```
    recipe.yaml study.db tune.json best.yaml   trials/trial-NNNN/ (run folders, without checkpoints)
    ```
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The complete recipe of the search."""
        return self.path / "recipe.yaml"

    @property
    def study(self) -> Path:
        """Optuna's database (SQLite)."""
        return self.path / "study.db"

    def databases(self) -> list[Path]:
        """Optuna's database, and what SQLite has beside it."""
        return sorted(self.path.glob(f"{self.study.name}*"))

    @property
    def result(self) -> Path:
        """Every trial so far, the best of them, and how much each key mattered."""
        return self.path / "tune.json"

    @property
    def best(self) -> Path:
        """The recipe of the best trial, to train with."""
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
        state: complete, pruned, failed (it diverged) or interrupted.
        value: of the metric; None unless complete.
        params: key of the recipe -> value.
        epochs: epoch -> value.
        seconds: of the whole trial, loading and evaluating included.
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
        metric, split, maximized: what trials are judged by.
        search: the recipe's section.
        trials: in the order in which they began.
        best: None where no trial is complete.
        importances: key -> share of the variation between trials.
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
        """The complete trials, the best first."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        sign = -1 if self.maximized else 1
        return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
