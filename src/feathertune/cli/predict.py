"""`feathertune predict`: labels and probabilities for texts, or for each row of a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from feathertune.cli.options import (
    BaseOption,
    OldTextOption,
    SetOption,
    print_note,
    stdout,
    text_column,
)
from feathertune.errors import UserError
from feathertune.wording.numbers import count

if TYPE_CHECKING:
    from feathertune.data.formats.format import FileSettings
    from feathertune.recipe.schema import DataSection
    from feathertune.serving.bulk import Tally
    from feathertune.serving.inputs import Input
    from feathertune.serving.outputs import Answer, Columns, OutputFormat, TextFormat
    from feathertune.serving.predictor import Predictor


class PredictionFormat(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class OnBadRow(StrEnum):
    """What happens with a row that cannot be predicted."""

    ERROR = "error"
    SKIP = "skip"


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
_KINDS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_STDIN = "-"


def predict(
    run: RunOrExportArgument,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.", show_default=False)] = None,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="Classify the rows of a file of any kind that training reads; -: standard input.",
            metavar="FILE",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write to this .csv, .jsonl, .json or .parquet file instead of stdout.")
    ] = None,
    format_: Annotated[
        PredictionFormat | None,
        typer.Option("--format", help="Default: by the name of --output; table for texts, csv for a file."),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--text-column", help="The column of texts; [A, B] for several, joined by line breaks."),
    ] = None,
    old_column: OldTextOption = None,
    read: Annotated[
        list[str] | None,
        typer.Option(
            "--read",
            help="How --input is read, if not as its content suggests: format, separator, quote, escape, encoding, "
            "columns, header, sheet or field.",
            metavar="KEY=VALUE",
            show_default=False,
        ),
    ] = None,
    keep_columns: Annotated[
        bool, typer.Option("--keep-columns/--no-keep-columns", help="Write the other columns of --input, too.")
    ] = True,
    on_bad_row: Annotated[
        OnBadRow, typer.Option(help="A row that cannot be predicted ends the command, or has an empty answer.")
    ] = OnBadRow.ERROR,
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
    kind = format_.value if format_ is not None else _kind_by_name(output, default="table" if texts else "csv")
    if output is not None and kind == "table":
        raise UserError("a table cannot be written to a file", fix="Give --format csv, jsonl, json or parquet.")
    if output is None and kind == "parquet":
        raise UserError(
            "parquet is written to a file only", where="--format parquet", fix="Give --output FILE.parquet."
        )
    column = text_column(column, old_column)
    of_input = {"--text-column": column is not None, "--read": read, "--on-bad-row": on_bad_row is OnBadRow.SKIP}
    _check_input(input_, output, of_input)
    from feathertune.folders.adapter import is_adapter
    from feathertune.folders.export import is_export
    from feathertune.folders.opened import OpenedRun
    from feathertune.serving.typed_options import read_settings

    reading = read_settings(read or ())
    exported = is_export(run) and not is_adapter(run)
    if settings and exported:
        raise UserError(f"--set {settings[0]}: an export has its own settings", fix="Leave --set out.")
    source = run if exported else OpenedRun.at(run, settings or ())  # before torch is imported, which takes seconds
    from feathertune.serving.bulk import Tally, answers_to_texts
    from feathertune.serving.outputs import Columns
    from feathertune.serving.predictor import Predictor

    predictor = Predictor(
        source, base=base, precision=precision.value, runtime=None if runtime is None else runtime.value
    )
    tally = Tally()
    if input_ is None:
        given = answers_to_texts(predictor, texts or [], tally)
        _write(given, kind, output, Columns.of(predictor.label_names, (), kind))
    else:
        from feathertune.serving.output_files import needs_all

        whole = needs_all(kind, output, keep=keep_columns)
        with _opened(input_, reading, column, predictor.data, whole=whole) as opened:
            _answer(predictor, opened, kind, output, tally, keep=keep_columns, skip=on_bad_row is OnBadRow.SKIP)
    written = count(tally.predicted, "prediction")
    if output is not None:
        print_note(f"{written} written to {output}")
    elif input_ is not None:
        print_note(f"{written} written")
    _print_notes(tally.notes(predictor.max_length))


def _answer(
    predictor: Predictor, opened: Input, kind: str, output: Path | None, tally: Tally, *, keep: bool, skip: bool
) -> None:
    """Write the answers to an opened input, and print the notes on it: those known before, then the others."""
    from feathertune.serving.bulk import answers
    from feathertune.serving.output_files import output_columns

    _print_notes(opened.notes)
    printed = len(opened.notes)
    columns, types = output_columns(opened, predictor.label_names, kind, keep=keep)
    flush = sys.stdout.flush if output is None else (lambda: None)
    _write(answers(predictor, opened, tally, skip=skip, after_chunk=flush), kind, output, columns, types)
    _print_notes([*opened.notes[printed:], *columns.notes()])


@contextmanager
def _opened(
    input_: Path, reading: FileSettings, column: str | None, trained: DataSection, *, whole: bool
) -> Iterator[Input]:
    from feathertune.serving.inputs import open_input
    from feathertune.serving.standard_input import open_stdin

    if str(input_) != _STDIN:
        yield open_input(input_, reading, column, trained)
        return
    with open_stdin(sys.stdin.buffer, reading, column, trained, whole=whole) as opened:
        yield opened


def _write(
    given: Iterator[Answer],
    kind: str,
    output: Path | None,
    columns: Columns,
    types: Mapping[str, Any] | None = None,
) -> None:
    if kind == "table":
        from feathertune.terminal.prediction_table import predictions_table

        stdout().print(predictions_table(given, columns.label_names))
    elif output is None:
        from feathertune.serving.outputs import write_answers

        write_answers(given, columns, sys.stdout, cast("TextFormat", kind))
    else:
        from feathertune.serving.output_files import write_file

        write_file(given, columns, output, cast("OutputFormat", kind), types or {})


def _print_notes(lines: Sequence[str]) -> None:
    for line in lines:
        print_note(f"note: {line}")


def _check_input(input_: Path | None, output: Path | None, of_input: Mapping[str, object]) -> None:
    """Refuse an --input that cannot be read or that --output would replace, and its options without it."""
    if input_ is None:
        for option, value in of_input.items():
            if value:
                raise UserError(
                    f"{option} {'names a column of' if option == '--text-column' else 'goes with'} --input, which is "
                    "not given",
                    fix='Give texts as they are: predict RUN "a text"',
                )
        return
    if str(input_) == _STDIN:
        return
    if not input_.exists():
        raise UserError("there is no such file", where=str(input_))
    if output is not None and output.exists() and output.samefile(input_):
        raise UserError("this is the --input itself, which must not be overwritten", where=f"--output {output}")


def _kind_by_name(output: Path | None, default: str) -> str:
    if output is None:
        return default
    kind = _KINDS.get(Path(output.name.removesuffix(".gz")).suffix.lower())
    if kind is None:
        raise UserError(
            "the name of the output must end in .parquet, .jsonl, .csv or .json",
            where=str(output),
            fix="Or give --format.",
        )
    return kind
