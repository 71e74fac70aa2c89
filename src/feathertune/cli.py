"""The command line: thin commands that read options, call the library, and print.

Data goes to stdout, progress and logs to stderr. Exit status: 0 done, 2 the user's error (one message, no
traceback), 1 a fault of ours. torch and the rest are imported by the commands that need them, so that --help is quick.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from feathertune.commands import compare, export, inspect, tune
from feathertune.commands.options import (
    BaseOption,
    FormatOption,
    OverridesArgument,
    RecipeArgument,
    RunArgument,
    TableOrJson,
    require_run,
    stderr,
    stdout,
)
from feathertune.errors import UserError

app = typer.Typer(
    name="feathertune",
    help="Fine-tune a small transformer for text classification with LoRA, and see with evidence whether it helped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


@app.command()
def train(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    output: Annotated[Path | None, typer.Option(help="Run folder to write; default: runs/NAME-TIME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run in --output.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Load and check everything, train nothing.")] = False,
    print_recipe: Annotated[bool, typer.Option("--print-recipe", help="Print the complete recipe and stop.")] = False,
) -> None:
    """Fine-tune by a recipe: evaluate before, train, evaluate after.

    Everything it finds is in the run folder, which it names at its end.
    """
    from feathertune.recipe_file import dump_recipe, find_recipe, load_recipe

    path = find_recipe(recipe)
    loaded = load_recipe(path, overrides)
    if print_recipe:
        typer.echo(dump_recipe(loaded), nl=False)
        return
    if resume and output is None:
        raise UserError("--resume needs --output, the folder of the unfinished run")
    if output is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("several processes need one folder", fix="Give it with --output.")
    from feathertune import run

    if dry_run:
        from feathertune.introduction import outline

        if output is not None:
            run.check_output(output, loaded, resume=resume)
        typer.echo(json.dumps(outline(loaded), indent=2, ensure_ascii=False))
        return
    folder = output or Path("runs") / f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    from feathertune.evaluation.summary_table import before_after_table
    from feathertune.training.progress import ConsoleReporter

    command = shlex.join(["feathertune", *sys.argv[1:]])
    try:
        summary = run.train(loaded, folder, resume=resume, reporter=ConsoleReporter(stderr()), command=command)
    except KeyboardInterrupt:
        again = shlex.join(["feathertune", "train", recipe, *(overrides or []), "--output", str(folder), "--resume"])
        typer.echo(f"interrupted; to go on: {again}", err=True)
        raise typer.Exit(130) from None
    if int(os.environ.get("RANK", "0")) == 0:  # under `accelerate launch`, the first process speaks for all
        stdout().print(before_after_table(summary))
        typer.echo(f"run folder: {folder} (where it errs: evaluation/errors-*.json)")
        typer.echo(f"report: {folder / 'report.html'}")


@app.command()
def evaluate(
    run: RunArgument,
    split: Annotated[str | None, typer.Option(help="A split of the run's own data; default: validation.")] = None,
    data: Annotated[Path | None, typer.Option(help="Other labelled data: a file, or a folder with dev.")] = None,
    format_: FormatOption = TableOrJson.TABLE,
    base: BaseOption = None,
) -> None:
    """Evaluate a finished run on a split of its data, or other data."""
    require_run(run)
    from feathertune.evaluation.evaluate import evaluate_run
    from feathertune.evaluation.summary_table import metrics_table

    metrics = evaluate_run(run, split=split, data=data, base=base)
    if format_ is TableOrJson.JSON:
        typer.echo(json.dumps(metrics.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        stdout().print(metrics_table(metrics.to_json()))


@app.command()
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
    from feathertune.export.export_folder import is_export

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
        from feathertune.serving.table import predictions_table

        stdout().print(predictions_table(rows, predictor.label_names))
    elif output is None:
        write_rows(rows, predictor.label_names, sys.stdout, kind)  # type: ignore[arg-type]
    else:
        from feathertune.files import atomic_path

        with atomic_path(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            count = write_rows(rows, predictor.label_names, file, kind)  # type: ignore[arg-type]
        stderr().print(f"{count} predictions written to {output}", highlight=False, markup=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, or that of a comparison or a search.")],
) -> None:
    """Write the report of a finished run again, from its files.

    That is report.html, README.md (the model card) and figures/.
    """
    _require_reportable(folder)
    from feathertune.report.writing import write_report

    typer.echo(f"report: {write_report(folder)}")


app.command()(compare.compare)
app.command()(tune.tune)
app.command()(export.export)
app.add_typer(inspect.app, name="inspect")


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from feathertune import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """The entry point: a UserError, or a file that the system will not read or write, is one message and status 2."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in ("torchao", "torch.utils._pytree"):  # transformers imports torchao where executorch has brought it
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # other libraries' bars, of which a log shows every frame
    try:
        with _broken_pipe_ends_quietly():
            app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}")


@contextmanager
def _broken_pipe_ends_quietly() -> Iterator[None]:
    """A reader such as `head` that has seen enough is no fault. typer itself would exit with 1, 'a fault of ours'."""
    try:
        yield
        sys.stdout.flush()
    except SystemExit as stop:
        cause = stop.__context__
        if isinstance(cause, OSError) and cause.errno == errno.EPIPE:
            sys.exit(0)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fail(message: str) -> NoReturn:
    from feathertune.visible import visible

    typer.echo("feathertune: " + "\n".join(visible(line) for line in message.split("\n")), err=True)
    sys.exit(2)


def _require_reportable(folder: Path) -> None:
    """As `require_run`, for what else has a report."""
    if not any((folder / name).is_file() for name in ("comparison.json", "tune.json")):
        require_run(folder)


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


if __name__ == "__main__":
    main()
