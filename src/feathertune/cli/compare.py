"""`feathertune compare`: all methods on the same data and budget, and whether they differ."""

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
        str | None,
        typer.Option(help="Some of majority,bag_of_words,head,full,lora,qat; default: the recipe's, or all."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds; default: the recipe's, or 3.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the comparison; default: runs/NAME-compare.")] = None,
) -> None:
    """Train every method with several seeds and compare them. The same command continues an interrupted comparison."""
    from feathertune.recipe.files import find_recipe, load_recipe

    path = find_recipe(recipe, "compare")
    changes = list(overrides or [])
    if methods is not None:
        changes.append(f"compare.methods=[{methods}]")
    if seeds is not None:
        changes.append(f"compare.seeds={seeds}")
    loaded = load_recipe(path, changes)
    folder = output or Path("runs") / f"{path.stem}-compare"
    from feathertune.comparison.compare import run_comparison
    from feathertune.terminal.comparison_tables import comparison_table
    from feathertune.terminal.progress import ConsoleReporter

    try:
        comparison = run_comparison(loaded, folder, reporter=ConsoleReporter(stderr()))
    except KeyboardInterrupt:
        again = shlex.join(["feathertune", "compare", recipe, *changes, "--output", str(folder)])
        typer.echo(f"interrupted; to continue: {again}", err=True)
        raise typer.Exit(130) from None
    stdout().print(comparison_table(comparison))
    typer.echo(f"comparison: {folder}")
    typer.echo(f"report: {folder / 'report.html'}")
