"""One comparison, from a recipe to a folder with its runs, the statistics, and what they say in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feathertune.comparison.collecting import collect
from feathertune.comparison.making import make_runs
from feathertune.comparison.plan import check_comparison, plan_runs
from feathertune.errors import UserError
from feathertune.folders.comparison import ComparisonFolder
from feathertune.folders.output import take_back
from feathertune.recipe.files import dump_recipe
from feathertune.recipe.schema import CompareSection, Method, Recipe
from feathertune.report.comparison_report import write_comparison_report
from feathertune.system.files import write_json, write_text
from feathertune.terminal.comparison_tables import comparison_markdown
from feathertune.training.reporter import Reporter, SilentReporter


def compare(
    recipe: Recipe,
    output: Path | str,
    *,
    methods: Sequence[Method] | None = None,
    seeds: int | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train every method with every seed, each in a process of its own, and compare them on the same examples.

    Called again with the same folder it goes on where it was: finished runs are kept, further seeds and methods added.

    Args:
        recipe: data, model and budget for all methods; its `compare` section says what is compared.
        output: the comparison's folder.
        methods: instead of `compare.methods`.
        seeds: instead of `compare.seeds`.
        reporter: hears of the progress, and lets the runs' own reach stderr; by default all is silent.

    Returns:
        The content of comparison.json (see `collect`).

    Raises:
        UserError: the folder holds something else, or runs of another recipe, other data or another base; a run
            failed. What is finished stays.
    """
    folder = ComparisonFolder(Path(output))
    recipe = _asked(recipe, methods, seeds)
    runs = plan_runs(recipe, folder)
    check_comparison(folder, recipe)
    write_text(folder.recipe, dump_recipe(recipe))
    try:
        make_runs(runs, reporter or SilentReporter(), show=reporter is not None)
    except UserError:
        if not any(folder.runs.glob("*")):  # the recipe that was refused should not bind the next one
            take_back(folder.path, folder.recipe.name, folder.runs.name)
        raise
    comparison = collect(runs)
    write_text(folder.card, comparison_markdown(comparison))
    write_json(folder.comparison, comparison)
    write_comparison_report(folder.path)
    return comparison


def _asked(recipe: Recipe, methods: Sequence[Method] | None, seeds: int | None) -> Recipe:
    """The recipe with a `compare` section that says what is compared. Raises UserError where it cannot be."""
    section = (recipe.compare or CompareSection()).model_dump()
    if methods is not None:
        section["methods"] = methods
    if seeds is not None:
        section["seeds"] = seeds
    try:
        return recipe.model_copy(update={"compare": CompareSection.model_validate(section)})
    except ValidationError as error:
        raise UserError(f"cannot compare this: {error.errors()[0]['msg']}", where="methods or seeds") from None
