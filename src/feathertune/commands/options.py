"""What several commands share: arguments, and the consoles they print on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

RecipeArgument = Annotated[
    str,
    typer.Argument(
        help="A YAML file, or a shipped recipe: quickstart, wellformed-minilm, wellformed-smollm2, wellformed-gpt2."
    ),
]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(help="key=value changes to the recipe: training.epochs=3", show_default=False)
]


def stdout() -> Console:
    """Where results go; 100 columns where it is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 100, highlight=False)


def stderr() -> Console:
    """Where progress goes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)
