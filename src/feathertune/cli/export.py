"""`feathertune export`: a finished run as something that answers elsewhere, and the same."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import BaseOption, RunArgument, require_run


class ExportTo(StrEnum):
    """What an export is for."""

    ADAPTER = "adapter"
    MERGED = "merged"
    ONNX = "onnx"
    EXECUTORCH = "executorch"


class ExportPrecision(StrEnum):
    """The numbers of an export's weights."""

    FP32 = "fp32"
    INT8 = "int8"
    INT4 = "int4"


def export(
    run: RunArgument,
    to: Annotated[ExportTo, typer.Option("--to", help="What to write.")],
    output: Annotated[Path, typer.Option(help="A new folder.")],
    precision: Annotated[
        ExportPrecision | None, typer.Option(help="default: the run's own; int8 and int4 need a quantized run")
    ] = None,
    opset: Annotated[
        int | None, typer.Option(help="--to onnx: the version of its operators, 21 to 23; default: 21")
    ] = None,
    base: BaseOption = None,
) -> None:
    """Export a finished run, and check that it answers as evaluated.

    The artefact is asked about the whole validation split, and kept if it answers the same.

    Exit status 1: its answers differ from those evaluated; it is set aside as OUTPUT.refused.
    """
    require_run(run)
    from feathertune.export.exporting import export_run, summary_lines

    done = export_run(
        run, to.value, output, precision=None if precision is None else precision.value, opset=opset, base=base
    )
    for line in summary_lines(done):
        typer.echo(line, err=True)
    if not done.parity.passed:
        typer.echo(f"feathertune: the export is refused; it is set aside in {done.folder}", err=True)
        raise typer.Exit(1)
    typer.echo(f"export: {done.folder}")
