"""What a run trained and what that took, in words that page and card share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from feathertune.recipe.schema import QuantizeSection
from feathertune.report.facts import RunFacts
from feathertune.report.page import number, shown
from feathertune.report.trainings import Training, trainings
from feathertune.terminal.run_tables import examples_per_second, trainings_of
from feathertune.wording.duration import duration

METHODS = {
    "lora": "LoRA",
    "head": "the head alone",
    "full": "full fine-tuning",
    "qat": "quantization-aware LoRA",
    "majority": "the majority class",
    "bag_of_words": "bag of words",
}


def method_name(facts: RunFacts) -> str:
    """The method; what was rounded without a training with that in view is not called quantization-aware."""
    method, section = facts.recipe.method, facts.recipe.quantize
    if section is None or section.training == "qat":
        return METHODS[method]
    return f"{METHODS['lora' if method == 'qat' else method]}, rounded to {section.weights}"


def costs(facts: RunFacts) -> list[tuple[str, str]]:
    """What it took, as (what, how much)."""
    summary, done, found = facts.summary, trainings_of(facts.summary), []
    trained, total = summary["trainable_parameters"], summary["total_parameters"]
    if done:
        found.append(("trained parameters", f"{number(trained)} ({trained / max(total, 1):.2%})"))
        found.append(("training time", duration(sum(one["train_seconds"] for one in done))))
        found.append(("examples/s", number(examples_per_second(done))))
    found.append(("peak memory", f"{number(summary['peak_memory_mib'])} MiB"))
    if best := _best_epochs(trainings(facts)):
        found.append(("best epoch", best))
    if "quantization" in summary:
        found.append(("deployed size", f"{number(summary['quantization']['weights_bytes'] / 2**20, 1)} MiB"))
    return found


def summary_for_table(facts: RunFacts) -> Mapping[str, Any]:
    """summary.json without a best epoch where `training.max_steps` ended the training within one."""
    if any(training.length is not None for training in trainings(facts)):
        return {**facts.summary, "best_epoch": None}
    return facts.summary


def trained(facts: RunFacts) -> str:
    """One paragraph: base, method, settings."""
    if facts.base is None:
        return f"A baseline without any pre-trained model: {METHODS[facts.recipe.method]}."
    model = f"{shown(facts.base['source'])} ({facts.base['architecture']})"
    done, section = trainings(facts), facts.recipe.quantize
    sentences = [f"{model}: {_how(facts)}."]
    if done:
        sentences.append(_settings(facts, done[0]) + _averaged(facts))
    if section is not None and facts.recipe.init_from is None:
        second = f"trained {_in_view(facts, section)}: {_settled(facts, done[-1])}"
        then = second if done[-1].rounded else f"rounded to {section.weights} and not trained again"
        sentences.append(f"Then it was {then}.")
    if len(done) > 1:
        sentences.append(f"The best epoch of each was kept: {_best_epochs(done)}.")
    return " ".join(sentences)


def _how(facts: RunFacts) -> str:
    """The method, or the run that it goes on from."""
    recipe, lora = facts.recipe, facts.recipe.lora
    if recipe.init_from is not None and recipe.quantize is not None:
        weights = recipe.quantize.weights
        qat = f"trained on {_in_view(facts, recipe.quantize)}"
        then = qat if recipe.quantize.training == "qat" else f"rounded to {weights} and not trained again"
        return f"the LoRA adapter and head of the run {shown(PurePath(recipe.init_from).name, 80)} (init_from), {then}"
    targets = lora.targets if isinstance(lora.targets, str) else ", ".join(lora.targets)
    adapted = f"rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, on {shown(targets)}"
    return {
        "lora": f"LoRA ({adapted}) and a new classification head",
        "qat": f"LoRA ({adapted}) and a new classification head",
        "head": "a new classification head on the frozen base",
        "full": "every weight, and a new classification head",
    }[recipe.method]


def _in_view(facts: RunFacts, section: QuantizeSection) -> str:
    """What a training with the quantizers on is, which drops none of what LoRA adds."""
    undropped = ", without LoRA's dropout" if facts.recipe.lora.dropout > 0 else ""
    return f"with the rounding to {section.weights} in view{undropped}"


def _settings(facts: RunFacts, training: Training) -> str:
    """A sentence: how long, by which rates, from which seed."""
    section, members = facts.recipe.training, facts.members
    settings = [
        _settled(facts, training),
        f"{section.batch_size * section.gradient_accumulation_steps} examples a step",
        f"weight decay {section.weight_decay:g}",
        f"seed {section.seed}" if not members else f"seeds {section.seed} to {members[-1]['seed']}",
        f"trained in {facts.summary.get('precision', 'fp32')}",
    ]
    return f"{', '.join(settings)}."


def _settled(facts: RunFacts, training: Training) -> str:
    """What a second training may have otherwise than the first."""
    return f"{training.in_words}, learning rate {training.learning_rate:g} ({facts.recipe.training.schedule})"


def _best_epochs(done: tuple[Training, ...]) -> str:
    """'2 of 3', or '2 of 3, then 1 of 2 with the quantizers on'; nothing where no epoch was chosen."""
    best = [(training.best_in_words, training.rounded and len(done) > 1) for training in done]
    told = [f"{words}{' with the quantizers on' if second else ''}" for words, second in best if words]
    return ", then ".join(told)


def _averaged(facts: RunFacts) -> str:
    """What averaging several adapters brought, where that was done."""
    members = facts.members
    if not members:
        return ""
    rank = facts.recipe.lora.rank * len(members)
    found = f" {len(members)} adapters were trained so and averaged into one of rank {rank}."
    if facts.recipe.evaluation.temperature or any(member["loss"] is None for member in members):
        return found
    losses = ", ".join(f"{member['loss']:.3f}" for member in members)
    averaged = facts.summary.get("float", facts.summary["after"])["validation"]["loss"]
    return f"{found} Their losses on validation, in training: {losses}; averaged: {averaged:.3f}."
