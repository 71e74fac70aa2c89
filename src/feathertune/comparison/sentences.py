"""The sentences of a comparison: the budget that all methods had, the results, and notes for the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from feathertune.comparison.plan import PlannedRun
from feathertune.folders.comparison import MethodResult, PairResult
from feathertune.folders.inputs import EnvironmentRecord
from feathertune.recipe.schema import BASELINES, Method, Recipe
from feathertune.wording.duration import duration
from feathertune.wording.methods import NAMES
from feathertune.wording.metrics import TITLES
from feathertune.wording.numbers import count


def learning_rate(recipe: Recipe) -> float | None:
    """The learning rate of a run; None for a baseline, and if nothing was trained."""
    if recipe.method in BASELINES:
        return None
    if recipe.method == "qat" and recipe.quantize is not None:
        nothing_trained = recipe.quantize.training == "ptq"
        return None if nothing_trained else recipe.quantize.learning_rate or recipe.training.learning_rate
    return recipe.training.learning_rate


def budget(recipes: Mapping[Method, Recipe]) -> list[str]:
    """The rules that gave all methods the same budget."""
    lines = ["All methods were trained on the same examples and evaluated on the same examples."]
    if trained := [recipe for method, recipe in recipes.items() if method not in BASELINES]:
        training = trained[0].training
        step_size = training.batch_size * training.gradient_accumulation_steps
        patience = training.early_stopping_patience
        stopping = (
            "no early stopping"
            if patience is None
            else f"early stopping after {count(patience, 'epoch')} without improvement"
        )
        limit = "" if training.max_steps is None else f", at most {training.max_steps:,} steps,"
        lines.append(
            f"Each trains for {count(training.epochs, 'epoch')}{limit} in steps of {step_size} examples, with the "
            f"{training.schedule} schedule and {stopping}. The epoch with the best {TITLES[training.best_metric]} on "
            "validation is kept, so figures on validation are slightly optimistic."
        )
    rates = {method: learning_rate(recipe) for method, recipe in recipes.items()}
    if shown := [f"{NAMES[method]} {rate:g}" for method, rate in rates.items() if rate is not None]:
        lines.append(f"Learning rates were not tuned: they are the recipe's or derived from it ({', '.join(shown)}).")
    if "qat" in recipes and (section := recipes["qat"].quantize) is not None:
        further = f"{count(section.epochs, 'more epoch')}" if section.training == "qat" else "no further training"
        lines.append(
            f"{NAMES['qat']} starts from the LoRA run with the same seed and quantizes it to {section.weights} weights "
            f"with {further}; its training time includes that run's."
        )
    if any(recipe.evaluation.chooses for recipe in recipes.values()):
        lines.append(
            "Each method's temperature or threshold was chosen on validation; figures on validation are cross-fitted: "
            "each half of the examples uses what was chosen on the other half."
        )
    if "bag_of_words" in recipes:
        lines.append("The regularization of the bag of words was chosen by cross-validation on train.")
    return lines


def sentences(pairs: Sequence[PairResult], methods: Sequence[MethodResult], splits: Sequence[str]) -> list[str]:
    """The accuracy of every pair on every split, and the training time of LoRA relative to full fine-tuning."""
    lines = [
        f"{pair.split}: {pair.sentence}" for split in splits for pair in pairs
        if pair.split == split and pair.metric == "accuracy"
    ]  # fmt: skip
    if (seconds := lora_and_full_seconds(methods)) is not None:
        lora, full = seconds
        lines.append(
            f"LoRA trained in {duration(lora)}, full fine-tuning in {duration(full)} (ratio {lora / full:.2f})"
        )
    return lines


def lora_and_full_seconds(methods: Sequence[MethodResult]) -> tuple[float, float] | None:
    """The training times of LoRA and of full fine-tuning; None without both."""
    seconds = {method.method: method.train_seconds for method in methods}
    lora, full = seconds.get("lora"), seconds.get("full")
    return None if lora is None or full is None else (lora, full)


def left_out_notes(methods: Sequence[MethodResult], classes: int) -> list[str]:
    """For each split, how many of its classes the methods' macro averages leave out; for several seeds the mean."""
    lines = []
    for split in methods[0].absent_classes:
        means = {method.name: mean(method.absent_classes[split]) for method in methods}
        if any(means.values()):
            listed = ", ".join(f"{name} {value:.3g}" for name, value in means.items())
            lines.append(
                f"{split}: macro averages leave out classes that are in neither labels nor predictions, of {classes} "
                f"classes: {listed}."
            )
    return lines


def notes(runs: Sequence[PlannedRun]) -> list[str]:
    """What the reader should keep in mind."""
    lines = []
    environments = [EnvironmentRecord.read(run.folder.environment) for run in runs]
    machines = [(one.processor, one.threads, one.accelerator) for one in environments]
    versions = [one.packages for one in environments]
    if any(machine != machines[0] for machine in machines):
        lines.append("The runs were made on different machines: compare times, speed and memory with care.")
    if any(packages != versions[0] for packages in versions):
        lines.append("The runs were made with different package versions: compare times, speed and memory with care.")
    if len({run.seed for run in runs}) == 1:
        lines.append(
            "Only one seed: the intervals cover the sampling of examples, not the variation between training runs."
        )
    return lines
