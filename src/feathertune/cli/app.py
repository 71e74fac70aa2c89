"""The command line: thin commands that read options, call the library, and print.

Data goes to stdout, progress and logs to stderr. Exit status: 0 for success, 2 for an error that the user can fix (one
message, no traceback), 1 for a bug. Commands import torch and the like only if they need them, so that --help is fast.
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

from feathertune.cli import compare, evaluate, export, inspect, predict, report, serve, train, tune, web_packages
from feathertune.errors import UserError

app = typer.Typer(
    name="feathertune",
    help="Fine-tune a small transformer for text classification with LoRA, and measure whether it helped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(predict.predict)
app.command()(serve.serve)
app.command()(report.report)
app.command()(compare.compare)
app.command()(tune.tune)
app.command()(export.export)
app.command()(web_packages.web_packages)
app.add_typer(inspect.app, name="inspect")


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        from feathertune.version import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand not in (None, "train"):
        from feathertune.system.machine import require_one_process

        require_one_process(context.invoked_subcommand)


def main() -> None:
    """The entry point. A UserError, or a file that cannot be read or written, becomes one message and exit status 2."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in ("torchao", "torch.utils._pytree"):  # transformers imports torchao if it is installed (with executorch)
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # a log would show each frame of other libraries' progress bars
    try:
        with _broken_pipe_ends_quietly():
            app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}")


@contextmanager
def _broken_pipe_ends_quietly() -> Iterator[None]:
    """A reader that closes the pipe early, such as `head`, is not an error. typer itself would exit with status 1."""
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
