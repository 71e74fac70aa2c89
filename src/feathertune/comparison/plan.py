"""Which runs a comparison is made of, and each one's recipe: the same data and budget, a method and a seed of its own.

The budget rule: every method has the recipe's epochs, batches, schedule, early stopping and best epoch (by
`training.best_metric` on validation). A comparison may give a method its own rates (`compare:` in the recipe), nothing
else. `qat` goes on from the same seed's `lora` run, with `quantize.epochs` more.
"""

from __future__ import annotations

from dataclasses import dataclass

from feathertune.errors import UserError
from feathertune.folders.comparison import ComparisonFolder
from feathertune.folders.output import stored_recipe
from feathertune.folders.run import RunFolder
from feathertune.recipe.schema import (
    BASELINES,
    CompareSection,
    EvaluationSection,
    Method,
    MethodSection,
    QuantizeSection,
    Recipe,
)

# What a method's learning rate is to LoRA's where the recipe does not say. A tenth for all weights: what Schulman et
# al. found over many models and sets (LoRA Without Regret, 2025). Ten times for a head alone (docs/LOG.md).
RATES: dict[Method, float] = {"head": 10.0, "full": 0.1, "lora": 1.0, "qat": 1.0}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison: its method and seed, the recipe it is made with, and where it is or will be."""

    method: Method
    seed: int
    recipe: Recipe
    folder: RunFolder

    @property
    def finished(self) -> bool:
        """Whether it is there, whole."""
        return self.folder.summary.is_file()


def plan_runs(recipe: Recipe, folder: ComparisonFolder) -> list[PlannedRun]:
    """The runs that the recipe's `compare` section asks for, seed by seed, in an order in which they can be made.

    The baselines know no chance, so that they have one run each. `qat` brings the `lora` it starts from.

    Raises:
        UserError: the recipe trains several adapters, which is no equal budget.
    """
    if recipe.lora.members > 1:
        raise UserError(
            f"lora.members={recipe.lora.members} gives LoRA so many trainings, and the other methods one",
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

    A rate that the `compare` section does not give is the recipe's, times the method's of `RATES` over that of the
    recipe's own method. `start` is the run that `qat` goes on from.
    """
    section = recipe.compare or CompareSection()
    own = getattr(section, method, MethodSection())
    training = recipe.training
    head_rate = training.head_learning_rate
    rate = own.learning_rate or training.learning_rate * RATES.get(method, 1.0) / RATES.get(recipe.method, 1.0)
    if method == "head":  # there is nothing but a head
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
            "evaluation": EvaluationSection() if method == "majority" else recipe.evaluation,  # as it is evaluated
            "init_from": None if start is None else str(start.path.resolve()),
            "compare": None,
        }
    )


def check_comparison(folder: ComparisonFolder, recipe: Recipe) -> None:
    """Raise a UserError where the folder holds anything but this comparison, with fewer or more methods and seeds."""
    stored = stored_recipe(folder.path, "comparison")
    if stored is not None and _core(stored) != _core(recipe):
        raise _other_recipe(str(folder.path), "the comparison in this folder")


def check_same_recipe(run: PlannedRun, stored: Recipe) -> None:
    """Raise a UserError unless a run was made with the recipe that is planned for it.

    Where the run that a finished `qat` began with lay at the time does not matter.
    """
    if run.finished:
        stored = stored.model_copy(update={"init_from": run.recipe.init_from})
    if stored != run.recipe:
        raise _other_recipe(str(run.folder.path), "the run in this folder")


def _core(recipe: Recipe) -> Recipe:
    """The recipe without how many methods and seeds it compares: those may grow."""
    section = (recipe.compare or CompareSection()).model_copy(update={"methods": (), "seeds": 0})
    return recipe.model_copy(update={"compare": section})


def _other_recipe(where: str, what: str) -> UserError:
    return UserError(
        f"{what} was made with another recipe",
        where=where,
        fix="Give the recipe it was made with (its recipe.yaml; seeds and methods may differ), or another --output.",
    )
