"""`feathertune predict`: labels and probabilities for texts, or for each row of a file."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import (
    BaseOption,
    OldTextOption,
    SetOption,
    TextColumnOption,
    stderr,
    stdout,
    text_column,
)
from feathertune.errors import UserError


class PredictionFormat(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class ComputePrecision(StrEnum):
    """The precision in which a float model computes."""

    FP32 = "fp32"
    BF16 = "bf16"


class OnnxRuntimeChoice(StrEnum):
    """What runs an ONNX export."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


RunOrExportArgument = Annotated[
    Path, typer.Argument(help="A run folder, its export to ONNX or ExecuTorch, or an adapter's folder.")
]


def predict(
    run: RunOrExportArgument,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.", show_default=False)] = None,
    input_: Annotated[
        Path | None, typer.Option("--input", help="Classify the rows of a csv, tsv, jsonl, parquet or txt file.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this .csv or .json file instead of stdout.")] = None,
    format_: Annotated[
        PredictionFormat | None, typer.Option("--format", help="Default: table for texts, csv for a file.")
    ] = None,
    column: TextColumnOption = None,
    old_column: OldTextOption = None,
    base: BaseOption = None,
    precision: Annotated[
        ComputePrecision,
        typer.Option(help="bf16 is faster on some processors; labels of near-ties may change."),
    ] = ComputePrecision.FP32,
    runtime: Annotated[
        OnnxRuntimeChoice | None, typer.Option(help="What runs an ONNX export; by default onnxruntime.")
    ] = None,
    settings: SetOption = None,
) -> None:
    """Predict labels and probabilities for texts or a file."""
    if bool(texts) == (input_ is not None):
        raise UserError("give either texts or --input FILE", fix='For example: feathertune predict RUN "a text"')
    kind = format_ or _kind_by_name(output, default="table" if texts else "csv")
    if output is not None and kind == "table":
        raise UserError("a table cannot be written to a file", fix="Give --format csv or json.")
    column = text_column(column, old_column)
    _check_input(input_, output, column)
    from feathertune.folders.adapter import is_adapter
    from feathertune.folders.export import is_export
    from feathertune.folders.opened import OpenedRun

    exported = is_export(run) and not is_adapter(run)
    if settings and exported:
        raise UserError(f"--set {settings[0]}: an export has its own settings", fix="Leave --set out.")
    source = run if exported else OpenedRun.at(run, settings or ())  # before torch is imported, which takes seconds
    from feathertune.serving.bulk import predict_rows, write_rows
    from feathertune.serving.predictor import Predictor

    predictor = Predictor(
        source, base=base, precision=precision.value, runtime=None if runtime is None else runtime.value
    )
    if input_ is not None:
        rows = predict_rows(predictor, input_, column)
    else:
        rows = iter(enumerate(predictor.predict(texts or []), start=1))
    if kind == "table":
        from feathertune.terminal.prediction_table import predictions_table

        stdout().print(predictions_table(rows, predictor.label_names))
    elif output is None:
        write_rows(rows, predictor.label_names, sys.stdout, kind)  # type: ignore[arg-type]
    else:
        from feathertune.system.files import atomic_path

        with atomic_path(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            count = write_rows(rows, predictor.label_names, file, kind)  # type: ignore[arg-type]
        stderr().print(f"{count} predictions written to {output}", highlight=False, markup=False)


def _check_input(input_: Path | None, output: Path | None, column: str | None) -> None:
    """Refuse an --input that cannot be read or that --output would replace, and a --text-column without --input."""
    if input_ is None:
        if column is not None:
            raise UserError(
                "--text-column names a column of --input, which is not given",
                fix='Give texts as they are: predict RUN "a text"',
            )
        return
    if str(input_) == "-":
        raise UserError(
            "standard input is not supported", where="--input -", fix="Give a file; the format follows from its name."
        )
    if not input_.is_file():
        raise UserError("there is no such file", where=str(input_))
    if output is not None and output.exists() and output.samefile(input_):
        raise UserError("this is the --input itself, which must not be overwritten", where=f"--output {output}")


def _kind_by_name(output: Path | None, default: str) -> str:
    if output is None:
        return default
    kinds = {".csv": "csv", ".json": "json"}
    if output.suffix not in kinds:
        raise UserError("the name of the output must end in .csv or .json", where=str(output), fix="Or give --format.")
    return kinds[output.suffix]
