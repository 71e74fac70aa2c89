"""`feathertune tune`: a search over a recipe's `search:` section."""

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


def tune(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    trials: Annotated[int, typer.Option(min=1, help="Total number of trials, including those of earlier calls.")] = 20,
    output: Annotated[Path | None, typer.Option(help="Folder of the search; default: runs/NAME-tune.")] = None,
) -> None:
    """Search for a better recipe, judged on validation alone. The same command continues an interrupted search."""
    from feathertune.recipe.files import find_recipe, load_recipe
    from feathertune.tuning.space import check_space
    from feathertune.tuning.study import require_optuna

    path = find_recipe(recipe)
    loaded = load_recipe(path, overrides)
    check_space(loaded)
    require_optuna()
    folder = output or Path("runs") / f"{path.stem}-tune"
    from feathertune.terminal.progress import ConsoleReporter
    from feathertune.terminal.search_table import trials_table
    from feathertune.tuning.tune import run_search

    try:
        search = run_search(loaded, folder, trials=trials, reporter=ConsoleReporter(stderr()))
    except KeyboardInterrupt:
        again = ["feathertune", "tune", recipe, *(overrides or []), "--trials", str(trials), "--output", str(folder)]
        typer.echo(f"interrupted; to continue: {shlex.join(again)}", err=True)
        raise typer.Exit(130) from None
    stdout().print(trials_table(search))
    if search.best is not None:
        typer.echo(f"best recipe: {folder / 'best.yaml'}")
        typer.echo(f"report: {folder / 'report.html'}")
