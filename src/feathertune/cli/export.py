"""`feathertune export`: a finished run for another runtime, with checked predictions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import BaseOption, RunOrAdapterArgument, SetOption, stderr


class ExportTo(StrEnum):
    """The target of an export."""

    ADAPTER = "adapter"
    MERGED = "merged"
    ONNX = "onnx"
    EXECUTORCH = "executorch"


class ExportPrecision(StrEnum):
    """The precision of the exported weights."""

    FP32 = "fp32"
    INT8 = "int8"
    INT4 = "int4"


def export(
    run: RunOrAdapterArgument,
    to: Annotated[ExportTo, typer.Option("--to", help="The target of the export.")],
    output: Annotated[Path, typer.Option(help="A new folder.")],
    precision: Annotated[
        ExportPrecision | None, typer.Option(help="Default: the run's own. int8 and int4 need a quantized run.")
    ] = None,
    opset: Annotated[
        int | None, typer.Option(help="With --to onnx: the version of the operators, 21 to 23; default: 21.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="For an adapter's folder: the labelled data to check the export with.")
    ] = None,
    base: BaseOption = None,
    settings: SetOption = None,
) -> None:
    """Export a finished run, or an adapter of PEFT, and check its predictions.

    The exported model predicts the whole validation split (for an adapter, --data). It is kept if the predictions
    agree with those evaluated. Otherwise it is set aside as OUTPUT.refused, and the exit status is 1.
    """
    from feathertune.folders.opened import OpenedRun

    opened = OpenedRun.at(run, settings or ())  # before torch is imported, which takes seconds
    from feathertune.export.exporting import export_run, summary_lines

    done = export_run(
        opened,
        to.value,
        output,
        precision=None if precision is None else precision.value,
        opset=opset,
        data=data,
        base=base,
        say=lambda line: stderr().print(line, highlight=False, markup=False),
    )
    for line in summary_lines(done):
        typer.echo(line, err=True)
    if not done.parity.passed:
        typer.echo(f"feathertune: the export is refused and set aside in {done.folder}", err=True)
        raise typer.Exit(1)
    typer.echo(f"export: {done.folder}")
