"""One comparison, from a recipe to a folder with its runs, comparison.json and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feathertune.comparison.collecting import collect
from feathertune.comparison.making import make_runs
from feathertune.comparison.plan import check_comparison, plan_runs
from feathertune.data.columns import with_columns
from feathertune.errors import UserError
from feathertune.folders.comparison import Comparison, ComparisonFolder
from feathertune.folders.output import stored_recipe, take_back
from feathertune.recipe.files import dump_recipe
from feathertune.recipe.schema import CompareSection, Method, Recipe
from feathertune.report.comparison_report import write_comparison_report
from feathertune.system.files import write_text
from feathertune.system.machine import require_one_process
from feathertune.system.temporary import remove_left_in
from feathertune.training.reporter import Reporter, SilentReporter


def compare(
    recipe: Recipe,
    output: Path | str,
    *,
    methods: Sequence[Method] | None = None,
    seeds: int | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """`run_comparison`, returning the content of comparison.json as plain dicts and lists."""
    return run_comparison(recipe, output, methods=methods, seeds=seeds, reporter=reporter).to_json()


def run_comparison(
    recipe: Recipe,
    output: Path | str,
    *,
    methods: Sequence[Method] | None = None,
    seeds: int | None = None,
    reporter: Reporter | None = None,
) -> Comparison:
    """Train every method with every seed, each in a process of its own, and compare them on the same examples.

    A second call with the same folder continues: finished runs are kept, further seeds and methods are added.

    Args:
        recipe: data, model and budget for all methods; its `compare` section defines what is compared.
        output: the comparison's folder.
        methods: replaces `compare.methods`.
        seeds: replaces `compare.seeds`.
        reporter: reports progress, and lets the runs report theirs on stderr; by default nothing is reported.

    Raises:
        UserError: the folder holds something else, or runs with another recipe, other data or another base; or a run
            failed. Finished runs stay.
    """
    require_one_process("compare")
    folder = ComparisonFolder(Path(output))
    recipe = _with_section(recipe, methods, seeds)
    plan_runs(recipe, folder)  # what cannot be compared, or kept here, is refused before any data is read
    stored_recipe(folder.path, "comparison")
    show, reporter = reporter is not None, reporter or SilentReporter()
    recipe = with_columns(recipe, reporter.say)
    runs = plan_runs(recipe, folder)
    check_comparison(folder, recipe)
    remove_left_in(folder.path)
    write_text(folder.recipe, dump_recipe(recipe))
    try:
        make_runs(runs, reporter, show=show)
    except UserError:
        if not any(folder.runs.glob("*")):  # the recipe was refused: the folder must accept a corrected one
            take_back(folder.path, folder.recipe.name, folder.runs.name)
        raise
    comparison = collect(runs)
    comparison.write(folder.comparison)
    (folder.path / "comparison.md").unlink(missing_ok=True)  # an earlier version's, now out of date
    write_comparison_report(folder.path)
    return comparison


def _with_section(recipe: Recipe, methods: Sequence[Method] | None, seeds: int | None) -> Recipe:
    """The recipe with a `compare` section that has these methods and seeds. Raises UserError if they are not valid."""
    section = (recipe.compare or CompareSection()).model_dump()
    if methods is not None:
        section["methods"] = methods
    if seeds is not None:
        section["seeds"] = seeds
    try:
        return recipe.model_copy(update={"compare": CompareSection.model_validate(section)})
    except ValidationError as error:
        raise UserError(f"cannot compare this: {error.errors()[0]['msg']}", where="methods or seeds") from None
