"""`feathertune compare`: every method on the same data, with the same budget, and statistics of the differences."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import (
    OverridesArgument,
    RecipeArgument,
    stderr,
    stdout,
)


def compare(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    methods: Annotated[
        str | None, typer.Option(help="Of majority,words,head,full,lora,qat; default: all, or the recipe's.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many; default: 3, or the recipe's.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the comparison; default: runs/NAME-compare.")] = None,
) -> None:
    """Train every method with several seeds and compare them. The same command goes on where it stopped."""
    from feathertune.recipe.files import find_recipe, load_recipe

    path = find_recipe(recipe)
    changes = list(overrides or [])
    if methods is not None:
        changes.append(f"compare.methods=[{methods}]")
    if seeds is not None:
        changes.append(f"compare.seeds={seeds}")
    loaded = load_recipe(path, changes)
    folder = output or Path("runs") / f"{path.stem}-compare"
    from feathertune.comparison.compare import compare as run_comparison
    from feathertune.terminal.comparison_tables import comparison_table
    from feathertune.terminal.progress import ConsoleReporter

    try:
        comparison = run_comparison(loaded, folder, reporter=ConsoleReporter(stderr()))
    except KeyboardInterrupt:
        again = shlex.join(["feathertune", "compare", recipe, *changes, "--output", str(folder)])
        typer.echo(f"interrupted; to go on: {again}", err=True)
        raise typer.Exit(130) from None
    stdout().print(comparison_table(comparison))
    typer.echo(f"comparison: {folder}")
    typer.echo(f"report: {folder / 'report.html'}")
