"""File names that the folders of runs, comparisons and searches share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportedFolder:
    """A folder made by a recipe, with a report. The modules that own the content read and write it."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The complete recipe, defaults included."""
        return self.path / "recipe.yaml"

    @property
    def card(self) -> Path:
        """The report as Markdown; of a run, the model card with the Hub's metadata."""
        return self.path / "README.md"

    @property
    def report(self) -> Path:
        """The report as a single HTML page."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """The report's figures, PNG files."""
        return self.path / "figures"
