"""`feathertune train`: one run, from a recipe to a finished run folder."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import (
    OverridesArgument,
    QuietOption,
    RecipeArgument,
    StrictOption,
    check_strictness,
    stderr,
    stdout,
)
from feathertune.errors import UserError
from feathertune.system.machine import launched, process_count, process_rank


def train(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    output: Annotated[Path | None, typer.Option(help="The run folder to write; default: runs/NAME-TIME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the unfinished run in --output.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Load and check everything, but train nothing.")] = False,
    print_recipe: Annotated[bool, typer.Option("--print-recipe", help="Print the complete recipe and exit.")] = False,
    strict: StrictOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a recipe: evaluate, train, evaluate again.

    All results are in the run folder, whose path is printed at the end.
    """
    from feathertune.recipe.files import dump_recipe, find_recipe, load_recipe

    check_strictness(strict=strict, quiet=quiet)
    path = find_recipe(recipe)
    loaded = load_recipe(path, overrides)
    if print_recipe:
        if process_rank() > 0:
            return
        typer.echo(dump_recipe(loaded), nl=False)
        return
    if resume and output is None:
        raise UserError("--resume needs --output, the folder of the unfinished run")
    if output is None and process_count() > 1:
        raise UserError("several processes need a common run folder", fix="Give it with --output.")
    from feathertune.run.train import check_output, train_run

    if dry_run:
        from feathertune.run.outline import outline

        if output is not None:
            check_output(output, loaded, resume=resume)
        planned = outline(loaded, strict=strict, quiet=quiet)
        if process_rank() == 0:
            typer.echo(json.dumps(planned, indent=2, ensure_ascii=False))
        return
    folder = output or Path("runs") / f"{path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    from feathertune.terminal.progress import ConsoleReporter
    from feathertune.terminal.run_tables import before_after_table

    command = shlex.join(["feathertune", *sys.argv[1:]])
    try:
        summary = train_run(
            loaded,
            folder,
            resume=resume,
            reporter=ConsoleReporter(stderr()),
            command=command,
            strict=strict,
            quiet=quiet,
        )
    except KeyboardInterrupt:
        options = [*(["--strict"] if strict else []), *(["--quiet"] if quiet else [])]
        again = shlex.join(
            ["feathertune", "train", recipe, *(overrides or []), *options, "--output", str(folder), "--resume"]
        )
        if process_rank() == 0:
            typer.echo(f"interrupted; to continue: {launched(again, process_count())}", err=True)
        raise typer.Exit(130) from None
    if process_rank() == 0:  # of several processes, only the first prints
        stdout().print(before_after_table(summary))
        typer.echo(f"run folder: {folder} (misclassified texts: evaluation/errors-*.json)")
        typer.echo(f"report: {folder / 'report.html'}")
