"""Names inside the folder of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
