"""`feathertune predict`: labels and probabilities for texts, or for every row of a file."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import (
    BaseOption,
    require_run,
    stderr,
    stdout,
)
from feathertune.errors import UserError


class PredictionFormat(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class ComputePrecision(StrEnum):
    """What a float model computes in."""

    FP32 = "fp32"
    BF16 = "bf16"


RunOrExportArgument = Annotated[Path, typer.Argument(help="A run folder, or an ONNX or ExecuTorch export of one.")]


def predict(
    run: RunOrExportArgument,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.", show_default=False)] = None,
    input_: Annotated[Path | None, typer.Option("--input", help="A csv, tsv, jsonl, parquet or txt file.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file (.csv or .json) instead of stdout.")] = None,
    format_: Annotated[
        PredictionFormat | None, typer.Option("--format", help="default: table for texts, csv for a file")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="The texts' column in --input.")] = None,
    base: BaseOption = None,
    precision: Annotated[
        ComputePrecision, typer.Option(help="bf16 is faster where the processor has it; near-ties may turn.")
    ] = ComputePrecision.FP32,
) -> None:
    """Label texts, or every row of a file, with all probabilities."""
    if bool(texts) == (input_ is not None):
        raise UserError("give either texts or --input FILE", fix='For example: feathertune predict RUN "is it so?"')
    kind = format_ or _kind_by_name(output, default="table" if texts else "csv")
    if output is not None and kind == "table":
        raise UserError("a table cannot be written to a file", fix="Give --format csv or json.")
    _check_input(input_, output, text)
    from feathertune.folders.export import is_export

    if not is_export(run):
        require_run(run)
    from feathertune.serving.bulk import predict_rows, write_rows
    from feathertune.serving.predictor import Predictor

    predictor = Predictor(run, base=base, precision=precision.value)
    if input_ is not None:
        rows = predict_rows(predictor, input_, text)
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


def _check_input(input_: Path | None, output: Path | None, text: str | None) -> None:
    """Refuse an --input that cannot be read, or that --output would replace, and a --text that goes with none."""
    if input_ is None:
        if text is not None:
            raise UserError(
                "--text names a column of --input, which is not given",
                fix='Texts are given as they are: predict RUN "a text"',
            )
        return
    if str(input_) == "-":
        raise UserError("standard input is not read", where="--input -", fix="Give a file, whose name says its kind.")
    if not input_.is_file():
        raise UserError("there is no such file", where=str(input_))
    if output is not None and output.exists() and output.samefile(input_):
        raise UserError("this is the --input itself, which is never replaced", where=f"--output {output}")


def _kind_by_name(output: Path | None, default: str) -> str:
    if output is None:
        return default
    kinds = {".csv": "csv", ".json": "json"}
    if output.suffix not in kinds:
        raise UserError("the output's name must end in .csv or .json, or give --format", where=str(output))
    return kinds[output.suffix]
