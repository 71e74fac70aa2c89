"""`feathertune report`: what is in a folder decides which report it gets."""

from __future__ import annotations

from pathlib import Path

from feathertune.folders.run import open_run
from feathertune.report import comparison_report, search_report
from feathertune.report.run_report import write_run_report
from feathertune.system.files import read_json


def write_report(path: Path | str) -> Path:
    """Write the report of the comparison, search or finished run at `path` again, from its files.

    Returns the page's path.

    Raises:
        UserError: nothing there that a report could be made of, or a file is missing or damaged.
    """
    path = Path(path)
    if (path / comparison_report.FILE).is_file():
        return comparison_report.write_comparison_report(path)
    if (path / search_report.FILE).is_file():
        return search_report.write_search_report(path)
    run = open_run(path)
    return write_run_report(run, read_json(run.summary))
