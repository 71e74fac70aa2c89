"""The runs of a comparison and their recipes: the same data and budget for all, and a method and a seed for each.

The budget rule: every method gets the recipe's epochs, batches, schedule, early stopping and choice of the best epoch
(by `training.best_metric` on validation). The `compare` section may give a method its own rates, and nothing else.
`qat` starts from the `lora` run with the same seed and trains `quantize.epochs` more.
"""

from __future__ import annotations

from dataclasses import dataclass

from feathertune.errors import UserError
from feathertune.folders.comparison import ComparisonFolder
from feathertune.folders.output import stored_recipe
from feathertune.folders.run import RunFolder
from feathertune.recipe.evaluation import EvaluationSection
from feathertune.recipe.schema import (
    BASELINES,
    CompareSection,
    Method,
    MethodSection,
    QuantizeSection,
    Recipe,
)

# The learning rate of a method as a multiple of LoRA's, if the recipe gives none. A tenth for full fine-tuning: the
# ratio that Schulman et al. report for many models and data sets (LoRA Without Regret, 2025). Ten times for the head
# alone (docs/LOG.md).
RATES: dict[Method, float] = {"head": 10.0, "full": 0.1, "lora": 1.0, "qat": 1.0}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison: its method, seed, recipe and folder, whether or not it has been made."""

    method: Method
    seed: int
    recipe: Recipe
    folder: RunFolder

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.folder.summary.is_file()


def plan_runs(recipe: Recipe, folder: ComparisonFolder) -> list[PlannedRun]:
    """The runs of the recipe's `compare` section, seed by seed, in an order in which they can be made.

    Baselines are deterministic and get one run each. `qat` adds the `lora` runs that it starts from.

    Raises:
        UserError: the recipe trains several adapters, which would give LoRA a larger budget.
    """
    if recipe.lora.members > 1:
        raise UserError(
            f"with lora.members={recipe.lora.members}, LoRA would get {recipe.lora.members} trainings and every other "
            "method one",
            fix="Compare with lora.members=1.",
        )
    section = recipe.compare or CompareSection()
    methods = list(dict.fromkeys(section.methods))
    if "qat" in methods and "lora" not in methods:
        methods.insert(methods.index("qat"), "lora")
    methods.sort(key=lambda method: method == "qat")  # stable: qat last, after its lora
    runs = []
    for seed in range(recipe.training.seed, recipe.training.seed + section.seeds):
        for method in methods:
            if method in BASELINES and seed != recipe.training.seed:
                continue
            start = folder.run("lora", seed) if method == "qat" else None
            own = comparison_recipe(recipe, method, seed, start)
            runs.append(PlannedRun(method, seed, own, folder.run(method, seed)))
    return runs


def comparison_recipe(recipe: Recipe, method: Method, seed: int, start: RunFolder | None = None) -> Recipe:
    """The recipe of one run: `recipe` with this method, its rates and this seed. The splits are the same for all seeds.

    A learning rate that is not in the `compare` section follows from the recipe's: times the factor in `RATES` of this
    method, divided by that of the recipe's method. `start` is the run that `qat` starts from.
    """
    section = recipe.compare or CompareSection()
    own = getattr(section, method, MethodSection())
    training = recipe.training
    head_rate = training.head_learning_rate
    rate = own.learning_rate or training.learning_rate * RATES.get(method, 1.0) / RATES.get(recipe.method, 1.0)
    if method == "head":  # nothing else is trained
        rate, head_rate = own.learning_rate or head_rate or rate, None
    given = {name: value for name, value in own.model_dump().items() if value is not None}
    quantize = None
    if method == "qat":
        quantize = recipe.quantize or QuantizeSection()
        if own.learning_rate is not None:
            quantize = quantize.model_copy(update={"learning_rate": own.learning_rate})
    validation_seed = recipe.data.validation_seed
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(
                update={"validation_seed": training.seed if validation_seed is None else validation_seed}
            ),
            "method": method,
            "training": training.model_copy(
                update={"head_learning_rate": head_rate} | given | {"learning_rate": rate, "seed": seed}
            ),
            "quantize": quantize,
            "evaluation": EvaluationSection() if method == "majority" else recipe.evaluation,  # no threshold
            "init_from": None if start is None else str(start.path.resolve()),
            "compare": None,
        }
    )


def check_comparison(folder: ComparisonFolder, recipe: Recipe) -> None:
    """Raise a UserError if the folder holds anything but this comparison; methods and seeds may differ."""
    stored = stored_recipe(folder.path, "comparison")
    if stored is not None and _core(stored) != _core(recipe):
        raise _other_recipe(str(folder.path), "the comparison in this folder")


def check_same_recipe(run: PlannedRun, stored: Recipe) -> None:
    """Raise a UserError unless a run was made with the recipe that is planned for it.

    The comparison may have been moved since: for a finished `qat` run, the path of the run it started from may differ.
    """
    if run.finished:
        stored = stored.model_copy(update={"init_from": run.recipe.init_from})
    if stored != run.recipe:
        raise _other_recipe(str(run.folder.path), "the run in this folder")


def _core(recipe: Recipe) -> Recipe:
    """The recipe without its methods and seeds, which may be added to."""
    section = (recipe.compare or CompareSection()).model_copy(update={"methods": (), "seeds": 0})
    return recipe.model_copy(update={"compare": section})


def _other_recipe(where: str, what: str) -> UserError:
    return UserError(
        f"{what} was made with another recipe",
        where=where,
        fix="Use the recipe it was made with (its recipe.yaml; seeds and methods may differ), or another --output.",
    )
