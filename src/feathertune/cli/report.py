"""`feathertune report`: write the report of a finished run, comparison or search again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import require_run


def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run, a comparison or a search.")],
) -> None:
    """Write the report of a run, comparison or search again.

    It consists of report.html, README.md (the model card) and figures/, and is made from the files of the run.
    """
    _require_reportable(folder)
    from feathertune.report.writing import write_report

    typer.echo(f"report: {write_report(folder)}")


def _require_reportable(folder: Path) -> None:
    """Like `require_run`; comparisons and searches have reports, too."""
    if not any((folder / name).is_file() for name in ("comparison.json", "tune.json")):
        require_run(folder)
