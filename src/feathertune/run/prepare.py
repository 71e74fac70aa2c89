"""Everything a run needs, loaded and checked before anything is trained or written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from feathertune.data.example import Dataset, Split
from feathertune.data.loading import load_dataset
from feathertune.data.overlap import Overlap, find_overlap
from feathertune.data.texts import iterate
from feathertune.errors import UserError
from feathertune.evaluation.calibration import check_threshold
from feathertune.folders.run import RunFolder
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    copy_trained,
    count_parameters,
    find_targets,
    train_everything,
    train_head_only,
    trainable_state,
)
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier, ParameterCount
from feathertune.model.dropout_rates import has_dropout, set_dropouts
from feathertune.model.gradient_checkpointing import enable_gradient_checkpointing
from feathertune.model.model_folder import padding_token
from feathertune.model.peft_files import load_adapter
from feathertune.model.precision import PrecisionChoice, choose_precision, set_precision
from feathertune.model.sources import BaseFiles, find_base
from feathertune.quantization.scheme import Plan, Scheme, plan_quantization
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import (
    BASELINES,
    DataSection,
    QuantizeSection,
    Recipe,
)
from feathertune.run.start import adapter_shape, find_start
from feathertune.system.files import read_json
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.prompt import add_prompt, check_end
from feathertune.tokens.tokenized import TokenizedTexts, tokenize


@dataclass(frozen=True)
class PreparedRun:
    """Everything a run needs, loaded and checked, before anything is trained or written.

    Attributes:
        recipe: as validated.
        dataset: the splits.
        overlap: texts that are there more than once.
        tokenizer: of the base model, with the prompt.
        texts: split name -> its texts, tokenized.
        base: the base model's files.
        base_checksums: file of the base (weights, config, tokenizer) -> sha256.
        classifier: base and head, adapted as the method says, in float32.
        lora: what is adapted, or None.
        device: where it is computed.
        precision: what the layers compute in when they are trained, and why.
        count: how many numbers the model has, and how many of them are trained, with all adapters that are averaged.
        plan: what is quantized in the end, or None.
        start: the finished run that training goes on from, or None.
    """

    recipe: Recipe
    dataset: Dataset
    overlap: Overlap
    tokenizer: Any
    texts: dict[str, TokenizedTexts]
    base: BaseFiles
    base_checksums: dict[str, str]
    classifier: PackedClassifier
    lora: LoraShape | None
    device: torch.device
    precision: PrecisionChoice
    count: ParameterCount
    plan: Plan | None = None
    start: RunFolder | None = None

    @property
    def evaluated(self) -> list[Split]:
        """The splits that are evaluated before and after: all but train."""
        return [split for name, split in self.dataset.splits.items() if name != "train"]


def prepare(recipe: Recipe, device: torch.device, begun: RunFolder | None = None) -> PreparedRun:
    """Load and check everything that can be without training, the model onto `device`. Writes nothing.

    Args:
        begun: the folder of a run that is resumed; data and base come from the Hub's commits that it began with.

    Raises:
        UserError: anything wrong with data, model or recipe.
    """
    data, revision = (recipe.data, recipe.model.revision) if begun is None else _as_begun(recipe, begun)
    dataset = load_dataset(data, recipe.training.seed)
    base = find_base(recipe.model.source, revision)
    model = recipe.model
    tokenizer = add_prompt(load_tokenizer(base.folder, base.gguf_file), model.prompt, model.max_length)
    texts = {
        name: tokenize(tokenizer, iterate(split.texts), model.max_length) for name, split in dataset.splits.items()
    }
    check_threshold(recipe.evaluation, dataset.label_names)
    classifier = _load_base(recipe, base, dataset.label_names, recipe.training.seed)
    _check_positions(classifier, model.max_length)
    if classifier.family.pooling(classifier.model.config) == "last":
        check_end(tokenizer, padding_token(classifier, tokenizer))
    checksums = base.checksums()
    start = None if recipe.init_from is None else find_start(recipe, dataset, checksums)
    lora = apply_method(classifier, recipe, None if start is None else adapter_shape(classifier, start))
    plan = None if recipe.quantize is None else plan_quantization(classifier, _scheme(recipe.quantize))
    if recipe.training.share_prefixes:
        _check_sharing(classifier)
    count = count_parameters(classifier, recipe.lora.members)
    _ready(classifier, recipe, device)
    return PreparedRun(
        recipe=recipe,
        dataset=dataset,
        overlap=find_overlap(dataset),
        tokenizer=tokenizer,
        texts=texts,
        base=base,
        base_checksums=checksums,
        classifier=classifier,
        lora=lora,
        device=device,
        precision=choose_precision(recipe.training.precision, device),
        count=count,
        plan=plan,
        start=start,
    )


def _as_begun(recipe: Recipe, run: RunFolder) -> tuple[DataSection, str | None]:
    """The recipe's data and its base's revision, at the Hub's commits of a run that was begun: branches move on."""
    data, revision = recipe.data, recipe.model.revision
    if not (run.data.is_file() and run.base.is_file()):
        return data, revision
    commit = read_json(run.data)["origin"].get("revision", data.revision)
    return data.model_copy(update={"revision": commit}), read_json(run.base)["revision"] or revision


def in_float32(job: PreparedRun) -> PreparedRun:
    """The job with its model as it is deployed: in float32, with what was trained on it, or with its start's adapter.

    A model that was trained in bfloat16 has let go of the float32 weights that were not trained: they are read again.
    So they are for a second training, with quantizers on, for which nothing may be left of the first.
    """
    if job.plan is None and job.precision.precision == "fp32":
        return job
    if job.recipe.method == "full":  # whose weights are float32 whatever they were multiplied in
        set_precision(job.classifier, "fp32")
        return job
    if job.start is None:
        state = {name: tensor.detach().clone() for name, tensor in trainable_state(job.classifier).items()}
        free(job.classifier)
        classifier = rebuild(job, job.lora, job.recipe.training.seed)
        copy_trained(state, classifier)
    else:
        free(job.classifier)
        seed = load_recipe(job.start.recipe).training.seed  # of what is new in a base and not trained, such as a pooler
        classifier = _load_base(job.recipe, job.base, job.dataset.label_names, seed)
        load_adapter(classifier, job.start.adapter)
        _ready(classifier, job.recipe, job.device)
    return replace(job, classifier=classifier)


def rebuild(job: PreparedRun, lora: LoraShape | None, seed: int) -> PackedClassifier:
    """The job's base read again, in float32, adapted by the recipe's method, with nothing trained yet.

    Args:
        lora: what LoRA adapts, and how.
        seed: of LoRA's factors. What is new in the base, such as its head, is drawn by the recipe's.
    """
    classifier = _load_base(job.recipe, job.base, job.dataset.label_names, job.recipe.training.seed)
    apply_method(classifier, job.recipe, lora, seed)
    _ready(classifier, job.recipe, job.device)
    return classifier


def free(classifier: PackedClassifier) -> None:
    """Let the memory of a model go that is not used any more, whoever still holds it."""
    classifier.to("meta")


def _load_base(recipe: Recipe, base: BaseFiles, label_names: tuple[str, ...], seed: int) -> PackedClassifier:
    classifier = load_base(base, label_names, seed)
    if recipe.model.dropout is not None:
        set_dropouts(classifier.model, recipe.model.dropout)
    return classifier


def _ready(classifier: PackedClassifier, recipe: Recipe, device: torch.device) -> None:
    """Put an adapted model where it computes, in float32, and its activations where the recipe wants them; in place."""
    set_precision(classifier.to(device), "fp32")
    if recipe.training.gradient_checkpointing:
        enable_gradient_checkpointing(classifier)


def _check_sharing(classifier: PackedClassifier) -> None:
    """Raise a UserError where texts cannot share what they begin with in training."""
    if not classifier.causal:
        raise UserError(
            f"training.share_prefixes: {classifier.model.config.model_type}'s tokens depend on what follows them",
            fix="Set training.share_prefixes=false: only causal models (GPT-2, Llama-like) can share.",
        )
    if has_dropout(classifier.model):
        raise UserError(
            "training.share_prefixes: with dropout, texts that begin alike are computed differently",
            fix="Set model.dropout=0 and lora.dropout=0, or training.share_prefixes=false.",
        )


def _scheme(section: QuantizeSection) -> Scheme:
    return Scheme(section.weights, section.embeddings, section.head, section.exclude, section.activations)


def apply_method(
    classifier: PackedClassifier, recipe: Recipe, lora: LoraShape | None = None, seed: int | None = None
) -> LoraShape | None:
    """Freeze and adapt the classifier as the recipe's method says (or as `lora` does), in place.

    LoRA's factors are drawn by `seed`, by default the recipe's.

    Returns what LoRA adapts.

    Raises:
        UserError: the method is a baseline, which adapts no model.
    """
    if recipe.method in BASELINES:
        raise UserError(f"the method {recipe.method} is a baseline: it trains no transformer", where="method")
    if recipe.method == "head":
        train_head_only(classifier)
        return None
    if recipe.method == "full":
        train_everything(classifier)
        return None
    if lora is None:
        section, names = recipe.lora, find_targets(classifier, recipe.lora.targets)
        lora = LoraShape(section.rank, section.alpha, section.dropout, section.rslora, names)
    add_lora(classifier, lora, recipe.training.seed if seed is None else seed)
    return lora


def _check_positions(classifier: PackedClassifier, max_length: int) -> None:
    """A model with learned positions has only so many of them, and a text to predict may be longer than any here.

    One of two scales for positions (longrope) goes to the other for the whole batch as soon as one text is long.
    """
    config = classifier.model.config
    for rope in _ropes(config):
        most = rope.get("original_max_position_embeddings") or config.max_position_embeddings
        if rope.get("rope_type") == "longrope" and max_length > most:
            raise UserError(
                f"with texts of more than {most} tokens this model (rope_type: longrope) computes all texts of a batch "
                "otherwise, so that an answer would depend on the texts beside it",
                where="model.max_length",
                fix=f"Set model.max_length={most} or less; longer texts are cut.",
            )
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and max_length > (most := limit - classifier.family.first_position(config)):
        raise UserError(
            f"{max_length} tokens are more than the model's {most} positions",
            where="model.max_length",
            fix=f"Set model.max_length={most} or less; longer texts are cut.",
        )


def _ropes(config: Any) -> list[dict[str, Any]]:
    """The config's settings of rotary positions: one for all layers, or one for each kind of layer."""
    settings = getattr(config, "rope_parameters", None) or {}
    return [one for one in (settings, *settings.values()) if isinstance(one, dict)]
