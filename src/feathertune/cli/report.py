"""`feathertune report`: the report of a finished run, comparison or search, written again from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import (
    require_run,
)


def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, or that of a comparison or a search.")],
) -> None:
    """Write the report of a finished run again, from its files.

    That is report.html, README.md (the model card) and figures/.
    """
    _require_reportable(folder)
    from feathertune.report.writing import write_report

    typer.echo(f"report: {write_report(folder)}")


def _require_reportable(folder: Path) -> None:
    """As `require_run`, for what else has a report."""
    if not any((folder / name).is_file() for name in ("comparison.json", "tune.json")):
        require_run(folder)
