"""`feathertune export`: a finished run for another runtime, with checked predictions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import BaseOption, RunOrAdapterArgument, SetOption, print_note
from feathertune.errors import UserError


class ExportTo(StrEnum):
    """The target of an export."""

    ADAPTER = "adapter"
    MERGED = "merged"
    ONNX = "onnx"
    EXECUTORCH = "executorch"
    WEB = "web"


class ExportPrecision(StrEnum):
    """The precision of the exported weights."""

    FP32 = "fp32"
    INT8 = "int8"
    INT4 = "int4"


class TunedFor(StrEnum):
    """The processors that an ONNX file is for, if not for all."""

    VNNI = "vnni"


class MadeFor(StrEnum):
    """The runtimes that an ONNX file is for, if not for onnxruntime on servers and desktops."""

    WEB = "web"


PrecisionOption = Annotated[
    ExportPrecision | None, typer.Option(help="Default: the run's own. int8 and int4 need a quantized run.")
]
OpsetOption = Annotated[
    int | None, typer.Option(help="With --to onnx: the version of the operators, 20 to 23; default: 20.")
]
PortableOption = Annotated[
    bool,
    typer.Option("--portable", help="With --to onnx: integers that are exact on every processor. This is the default."),
]
TunedOption = Annotated[
    TunedFor | None,
    typer.Option(help="With --to onnx: a simpler file for processors with VNNI; elsewhere it needs a session option."),
]
ForOption = Annotated[
    MadeFor | None,
    typer.Option("--for", help="With --to onnx: web multiplies int4 weights fast where onnxruntime runs in wasm."),
]
BesideOption = Annotated[
    list[Path] | None, typer.Option(help="With --to web: another such export, to compare on the page; twice at most.")
]
DataOption = Annotated[
    Path | None, typer.Option(help="For an adapter's folder: the labelled data to check the export with.")
]


def export(
    run: RunOrAdapterArgument,
    to: Annotated[ExportTo, typer.Option("--to", help="The target of the export.")],
    output: Annotated[Path, typer.Option(help="A new folder.")],
    precision: PrecisionOption = None,
    opset: OpsetOption = None,
    portable: PortableOption = False,
    tuned: TunedOption = None,
    for_: ForOption = None,
    beside: BesideOption = None,
    data: DataOption = None,
    base: BaseOption = None,
    settings: SetOption = None,
) -> None:
    """Export a finished run, or a PEFT adapter, and check its predictions.

    The exported model predicts the whole validation split (for an adapter, --data). It is kept if the predictions
    agree with those evaluated. Otherwise it is set aside as OUTPUT.refused, and the exit status is 1.
    """
    if portable and (tuned is not None or to is not ExportTo.ONNX):
        other = f"--tuned {tuned.value}" if tuned is not None else f"--to {to.value}"
        raise UserError(f"--portable contradicts {other}", fix="Leave --portable out.")
    from feathertune.folders.opened import OpenedRun

    opened = OpenedRun.at(run, settings or ())  # before torch is imported, which takes seconds
    from feathertune.export.exporting import export_run, summary_lines

    done = export_run(
        opened,
        to.value,
        output,
        precision=None if precision is None else precision.value,
        opset=opset,
        tuned=None if tuned is None else "vnni",
        purpose=None if for_ is None else "web",
        beside=beside or (),
        data=data,
        base=base,
        say=print_note,
    )
    for line in summary_lines(done):
        typer.echo(line, err=True)
    if not done.parity.passed:
        typer.echo(f"feathertune: the export is refused and set aside in {done.folder}", err=True)
        raise typer.Exit(1)
    typer.echo(f"export: {done.folder}")
