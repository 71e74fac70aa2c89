"""What several commands share: arguments, and the consoles they print on."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console


class TableOrJson(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


RecipeArgument = Annotated[
    str, typer.Argument(help="A YAML file, or a shipped recipe's name, such as quickstart or wellformed-minilm.")
]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(help="key=value changes to the recipe: training.epochs=3", show_default=False)
]

RunArgument = Annotated[Path, typer.Argument(help="A run folder that `train` wrote.")]
FormatOption = Annotated[TableOrJson, typer.Option("--format", help="table, or one JSON document")]
BaseOption = Annotated[str | None, typer.Option(help="Where the base model is now, if the run cannot find it.")]


def stdout() -> Console:
    """Where results go; 100 columns where it is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 100, highlight=False)


def stderr() -> Console:
    """Where progress goes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def require_run(folder: Path) -> None:
    """Refuse what is no finished run at once, before torch is imported. Raises UserError."""
    from feathertune.folders.run import open_run

    open_run(folder)
