"""`feathertune inspect data | model`: look at data or a model before training."""

from __future__ import annotations

import json
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from feathertune.cli.options import (
    FormatOption,
    OldTextOption,
    OverridesArgument,
    QuietOption,
    StrictOption,
    TableOrJson,
    TextColumnOption,
    check_strictness,
    print_note,
    stdout,
    text_column,
)

app = typer.Typer(help="Look at data or a model before training.", no_args_is_help=True)


class OnBadRow(StrEnum):
    """What to do with a bad row."""

    ERROR = "error"
    SKIP = "skip"


@app.command("data")
def inspect_data(
    source: Annotated[str, typer.Argument(help="A recipe, `sample`, a file, a folder or a Hub id.")],
    overrides: OverridesArgument = None,
    column: TextColumnOption = None,
    old_column: OldTextOption = None,
    label: Annotated[str | None, typer.Option(help="The column of labels.")] = None,
    rating: Annotated[str | None, typer.Option(help="A column of numbers, for --above or --at-least.")] = None,
    above: Annotated[float | None, typer.Option(help="Label a row POSITIVE if its rating is above this.")] = None,
    at_least: Annotated[float | None, typer.Option(help="Label a row POSITIVE if its rating is at least this.")] = None,
    model: Annotated[str | None, typer.Option(help="The model whose tokenizer counts tokens.")] = None,
    on_bad_row: Annotated[OnBadRow | None, typer.Option(help="Stop at a bad row, or skip and list it.")] = None,
    strict: StrictOption = False,
    quiet: QuietOption = False,
    write_recipe: Annotated[
        Path | None, typer.Option(help="Write a recipe to train on this data: a new YAML file.", metavar="FILE")
    ] = None,
    convert: Annotated[
        Path | None,
        typer.Option(help="Write what was understood to a new .parquet, .csv or .jsonl file.", metavar="FILE"),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Draw lengths and labels of each split in this folder.", metavar="DIR")
    ] = None,
    format_: FormatOption = TableOrJson.TABLE,
) -> None:
    """Print counts, lengths, labels, examples, and what may be wrong with the data.

    Of a file that is no recipe, key=value sets keys of data and model, such as data.separator=';'.
    """
    check_strictness(strict=strict, quiet=quiet)
    from feathertune.data.bad_rows import BadRowError
    from feathertune.run.inspect import inspect_source
    from feathertune.terminal.data_tables import print_data

    text = text_column(column, old_column)
    columns = {"text": text, "label": label, "rating": rating, "above": above, "at_least": at_least}
    try:
        description = inspect_source(
            source,
            overrides,
            model=model,
            on_bad_row=on_bad_row,
            strict=strict,
            quiet=quiet,
            write_recipe=write_recipe,
            convert=convert,
            figures=figures,
            **columns,
        )
    except BadRowError as error:
        raise error.with_skip("--on-bad-row skip") from None  # a bare source has no recipe to write a key in
    if format_ is TableOrJson.JSON:
        typer.echo(json.dumps(description.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_data(stdout(), description)
    if write_recipe is not None:
        print_note(f"recipe: {write_recipe} (to train: {shlex.join(['feathertune', 'train', str(write_recipe)])})")
    if convert is not None:
        print_note(f"data: {convert}")
    if figures is not None:
        print_note(f"figures: {figures}")


@app.command("model")
def inspect_model(
    source: Annotated[str, typer.Argument(help="A recipe, or a model: folder, package:NAME/path, gguf:FILE, Hub id.")],
    overrides: OverridesArgument = None,
    format_: FormatOption = TableOrJson.TABLE,
) -> None:
    """Print a model's architecture, what the method adapts, and the parameter counts."""
    from feathertune.run.inspect import inspect_base

    classifier = inspect_base(source, overrides)
    from feathertune.model.adapt import count_parameters
    from feathertune.model.description import describe_model
    from feathertune.terminal.model_tree import draw_model

    if format_ is TableOrJson.JSON:
        typer.echo(json.dumps(describe_model(classifier), indent=2))
    else:
        stdout().print(draw_model(classifier))
        typer.echo(str(count_parameters(classifier)))
