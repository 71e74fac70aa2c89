"""Execute a notebook in the current folder: `execute.py SCRIPT.py [OUTPUT.ipynb]`, from its .py, in a new kernel.

What goes to stderr is left out of the output: libraries say there what they think of the machine. `make notebooks`
writes the notebooks that are in the repository.
"""

from __future__ import annotations

import sys

import jupytext
from nbclient import NotebookClient


def main(script: str, output: str | None = None) -> None:
    """Raises nbclient's CellExecutionError where a cell fails."""
    notebook = jupytext.read(script)
    here = {"metadata": {"path": "."}}
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=here, record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if not (one.output_type == "stream" and one.name == "stderr")]
    if output is not None:
        jupytext.write(notebook, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
