"""What a run trained and what that cost, in sentences for the page and the card."""

from __future__ import annotations

from pathlib import PurePath

from feathertune.folders.inputs import BaseRecord
from feathertune.folders.summary import Summary
from feathertune.recipe.schema import LastLayers, LoraSection
from feathertune.report.before_after import examples_per_second
from feathertune.report.facts import RunFacts
from feathertune.report.trainings import Training, trainings
from feathertune.wording.duration import duration
from feathertune.wording.methods import TITLES
from feathertune.wording.numbers import number
from feathertune.wording.size import size
from feathertune.wording.visible import shown

PTQ = "without further training (post-training quantization, PTQ)"


def method_title(facts: RunFacts) -> str:
    """The method; 'LoRA, quantized to int8 (PTQ)' for a run that quantizes without further training."""
    method, section = facts.recipe.method, facts.recipe.quantize
    if section is None or section.training == "qat":
        return TITLES[method]
    return f"{TITLES['lora' if method == 'qat' else method]}, quantized to {section.weights} (PTQ)"


def costs(facts: RunFacts) -> list[tuple[str, str]]:
    """What the run cost, as (name, value)."""
    summary, done = facts.summary, facts.summary.trainings
    pairs = []
    if done:
        share = summary.trainable_parameters / max(summary.total_parameters, 1)
        pairs.append(("trained parameters", f"{number(summary.trainable_parameters)} ({share:.2%})"))
        pairs.append(("training time", duration(sum(training.train_seconds for training in done))))
        pairs.append(("examples/s", number(examples_per_second(done))))
    pairs.append(("peak memory", f"{number(summary.peak_memory_mib)} MiB"))
    if best := _best_epochs(trainings(facts)):
        pairs.append(("best epoch", best))
    if summary.quantization is not None:
        pairs.append(("deployed size", size(summary.quantization.weights_bytes)))
    return pairs


def summary_for_table(facts: RunFacts) -> Summary:
    """The summary, without a best epoch if `training.max_steps` ended a training within an epoch."""
    if any(training.length is not None for training in trainings(facts)):
        return facts.summary.model_copy(update={"best_epoch": None})
    return facts.summary


def training_paragraph(facts: RunFacts) -> str:
    """One paragraph: the base, the method and its settings."""
    if facts.base is None:
        return f"This is a baseline without a pre-trained model: {TITLES[facts.recipe.method]}."
    done, section = trainings(facts), facts.recipe.quantize
    sentences = [_base(facts.base), _first_sentence(facts, done)]
    if facts.summary.members:
        sentences.append(_soup(facts))
    if section is not None and facts.recipe.init_from is None:
        if done[-1].quantized:
            sentences.append(
                f"Quantization-aware training (QAT) to {section.weights} followed{_without_dropout(facts)}, for "
                f"{_length_and_rate(facts, done[-1])}."
            )
        else:
            sentences.append(f"Then the model was quantized to {section.weights} {PTQ}.")
    if len(done) > 1:
        sentences.append(f"The best epoch of each training was kept: {_best_epochs(done)}.")
    return " ".join(sentences)


def _base(base: BaseRecord) -> str:
    return f"The base model is {shown(base.source)} ({base.architecture})."


def _first_sentence(facts: RunFacts, done: tuple[Training, ...]) -> str:
    """What was trained first and how, or what was quantized."""
    recipe, lora = facts.recipe, facts.recipe.lora
    settings = _settings(facts, done[0]) if done else ""
    if recipe.init_from is not None and recipe.quantize is not None:
        weights, start = recipe.quantize.weights, shown(PurePath(recipe.init_from).name, 80)
        parts = f"The LoRA adapters and the head of the run {start} (init_from)"
        if recipe.quantize.training != "qat":
            return f"{parts} were quantized to {weights} {PTQ}."
        qat = f"quantization-aware training (QAT) to {weights}{_without_dropout(facts)}"
        return f"{parts} were trained further by {qat}, for {settings}."
    targets = lora.targets if isinstance(lora.targets, str) else ", ".join(lora.targets)
    shape = f"rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, targets {shown(targets)}{_layers(lora)}"
    adapters = f"LoRA adapters ({shape}) and a new classification head were trained"
    trained = {
        "head": "A new classification head was trained on the frozen base",
        "full": "All weights and a new classification head were trained",
    }.get(recipe.method, adapters)
    return f"{trained} for {settings}." if settings else f"{trained}."


def _layers(lora: LoraSection) -> str:
    if lora.layers is None:
        return ""
    if isinstance(lora.layers, LastLayers):
        return f" of the last {lora.layers.last} layers" if lora.layers.last > 1 else " of the last layer"
    return f" of layers {', '.join(map(str, lora.layers))}"


def _without_dropout(facts: RunFacts) -> str:
    """QAT quantizes the merged weights, and so has no LoRA dropout."""
    return ", without LoRA's dropout" if facts.recipe.lora.dropout > 0 else ""


def _settings(facts: RunFacts, training: Training) -> str:
    """The length of a training, its rates and its seed."""
    section, members, processes = facts.recipe.training, facts.summary.members, facts.environment.processes
    shared = f" (shared by {processes} processes)" if processes > 1 else ""
    seeds = f"seeds {section.seed} to {members[-1].seed}" if members else f"seed {section.seed}"
    return (
        f"{_length_and_rate(facts, training)}, batch size "
        f"{section.batch_size * section.gradient_accumulation_steps}{shared}, weight decay {section.weight_decay:g} "
        f"and {seeds}, in {facts.summary.precision}"
    )


def _length_and_rate(facts: RunFacts, training: Training) -> str:
    """The settings in which a second training may differ from the first."""
    schedule = f"{facts.recipe.training.schedule} schedule"
    return f"{training.length_in_words} with learning rate {training.learning_rate:g} ({schedule})"


def _best_epochs(done: tuple[Training, ...]) -> str:
    """'2 of 3', or '2 of 3, then 1 of 2 (QAT)'; empty if no epoch was chosen."""
    best = [(training.best_in_words, training.quantized and len(done) > 1) for training in done]
    return ", then ".join(f"{words}{' (QAT)' if is_second else ''}" for words, is_second in best if words)


def _soup(facts: RunFacts) -> str:
    """What averaging several adapters brought."""
    members = facts.summary.members
    rank = facts.recipe.lora.rank * len(members)
    soup = f"{len(members)} adapters were trained this way and averaged into one of rank {rank}, a model soup."
    if facts.recipe.evaluation.temperature or any(member.loss is None for member in members):
        return soup
    losses = ", ".join(f"{member.loss:.3f}" for member in members)
    averaged = (facts.summary.float32 or facts.summary.after)["validation"].loss
    return f"{soup} Their validation losses in training: {losses}; of the soup: {averaged:.3f}."
