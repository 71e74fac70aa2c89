"""Names inside the folder of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feathertune.folders.run import RunFolder


@dataclass(frozen=True)
class ComparisonFolder:
    """Names inside the folder of a comparison.

    ```
    recipe.yaml comparison.json comparison.md   runs/{method}-seed{N}/ (run folders)
    ```
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The complete recipe of the comparison."""
        return self.path / "recipe.yaml"

    @property
    def comparison(self) -> Path:
        """The result, written last."""
        return self.path / "comparison.json"

    @property
    def markdown(self) -> Path:
        """The same for a reader."""
        return self.path / "comparison.md"

    @property
    def runs(self) -> Path:
        """The run folders."""
        return self.path / "runs"

    def run(self, method: str, seed: int) -> RunFolder:
        """The folder of one run."""
        return RunFolder(self.runs / f"{method}-seed{seed}")
