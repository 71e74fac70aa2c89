"""`feathertune report`: the report of a run, a comparison or a search, depending on what the folder holds."""

from __future__ import annotations

from pathlib import Path

from feathertune.folders.comparison import ComparisonFolder
from feathertune.folders.run import open_run
from feathertune.folders.search import SearchFolder
from feathertune.folders.summary import Summary
from feathertune.report.comparison_report import write_comparison_report
from feathertune.report.run_report import write_run_report
from feathertune.report.search_report import write_search_report


def write_report(path: Path | str) -> Path:
    """Write the report of the finished run, comparison or search in the folder `path` again, from its files.

    Returns the path of report.html.

    Raises:
        UserError: the folder holds none of these, or a file is missing or damaged.
    """
    path = Path(path)
    if ComparisonFolder(path).comparison.is_file():
        return write_comparison_report(path)
    if SearchFolder(path).result.is_file():
        return write_search_report(path)
    run = open_run(path)
    return write_run_report(run, Summary.read(run.summary))
