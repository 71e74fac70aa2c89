"""What several commands share: arguments, options, and the consoles that they print on."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feathertune.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console


class TableOrJson(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


RecipeArgument = Annotated[
    str, typer.Argument(help="A YAML file, or the name of a shipped recipe, such as quickstart or wellformed-minilm.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Changes to the recipe, such as training.epochs=3.", show_default=False),
]

RunOrAdapterArgument = Annotated[
    Path, typer.Argument(help="A run folder, or the folder of an adapter as PEFT or a Trainer saves it.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="For an adapter's folder, what it does not say: data.text=COLUMN, data.label.column=COLUMN, "
        "data.label.names=[A,B], model.max_length=N, model.prompt=TEXT.",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]
FormatOption = Annotated[TableOrJson, typer.Option("--format", help="A table, or one JSON document.")]
BaseOption = Annotated[str | None, typer.Option(help="Where the base model is now, if the run cannot find it.")]
TextColumnOption = Annotated[str | None, typer.Option("--text-column", help="The column of texts.")]
OldTextOption = Annotated[str | None, typer.Option("--text", hidden=True)]  # of earlier versions
StrictOption = Annotated[bool, typer.Option("--strict", help="Make remarks on the data (warnings) errors.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Leave out remarks on the data (warnings).")]


def check_strictness(*, strict: bool, quiet: bool) -> None:
    """Raise a UserError for options that contradict each other."""
    if strict and quiet:
        raise UserError("--strict and --quiet contradict each other", fix="Give one of them.")


def stdout() -> Console:
    """The console for results; 100 columns wide if stdout is not a terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 100, highlight=False)


def stderr() -> Console:
    """The console for progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_note(line: str) -> None:
    """Print a sentence on stderr, as it is."""
    stderr().print(line, highlight=False, markup=False)


def require_run(folder: Path) -> None:
    """Check for a finished run at once, before torch is imported. Raises UserError."""
    from feathertune.folders.run import open_run

    open_run(folder)


def text_column(column: str | None, old: str | None) -> str | None:
    """The value of --text-column, also by its old name --text. Raises UserError if both are given."""
    if column is not None and old is not None:
        raise UserError("--text is the old name of --text-column, and both are given")
    return column if column is not None else old
