"""`feathertune evaluate`: the metrics of a finished run, on a split of its data or on other labelled data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import (
    BaseOption,
    FormatOption,
    RunOrAdapterArgument,
    SetOption,
    TableOrJson,
    print_note,
    stdout,
)


def evaluate(
    run: RunOrAdapterArgument,
    split: Annotated[str | None, typer.Option(help="A split of the run's data; default: validation.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Other labelled data: a file, or a folder that is one split or has a dev split.")
    ] = None,
    format_: FormatOption = TableOrJson.TABLE,
    base: BaseOption = None,
    settings: SetOption = None,
) -> None:
    """Evaluate a finished run on a split or on other data, or a PEFT adapter on labelled data."""
    from feathertune.folders.opened import OpenedRun

    opened = OpenedRun.at(run, settings or ())  # before torch is imported, which takes seconds
    from feathertune.run.evaluate import evaluate_run
    from feathertune.terminal.run_tables import metrics_table

    metrics = evaluate_run(opened, split=split, data=data, base=base, say=print_note)
    if format_ is TableOrJson.JSON:
        typer.echo(json.dumps(metrics.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        stdout().print(metrics_table(metrics))
