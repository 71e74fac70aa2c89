"""`feathertune web-packages`: what an export for browsers needs from npm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import print_note


def web_packages(
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="A node_modules folder that has them, where npm reaches no registry."),
    ] = None,
) -> None:
    """Fetch the packages for `export --to web`, once, in the pinned versions."""
    from feathertune.web.packages import fetch_packages

    typer.echo(f"packages: {fetch_packages(from_, print_note)}")
