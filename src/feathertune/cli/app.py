"""The command line: thin commands that read options, call the library, and print.

Data goes to stdout, progress and logs to stderr. Exit status: 0 done, 2 the user's error (one message, no
traceback), 1 a fault of ours. torch and the rest are imported by the commands that need them, so that --help is quick.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from feathertune.cli import compare, evaluate, export, inspect, predict, report, train, tune
from feathertune.errors import UserError

app = typer.Typer(
    name="feathertune",
    help="Fine-tune a small transformer for text classification with LoRA, and see with evidence whether it helped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(predict.predict)
app.command()(report.report)
app.command()(compare.compare)
app.command()(tune.tune)
app.command()(export.export)
app.add_typer(inspect.app, name="inspect")


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from feathertune.version import __version__

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
    from feathertune.wording.visible import visible

    typer.echo("feathertune: " + "\n".join(visible(line) for line in message.split("\n")), err=True)
    sys.exit(2)
