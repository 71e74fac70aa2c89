"""Everything a run needs, loaded and checked before anything is trained or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from feathertune.data.example import Dataset, Split
from feathertune.data.loading import load_dataset
from feathertune.data.overlap import find_overlap
from feathertune.errors import UserError
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    count_parameters,
    find_targets,
    train_everything,
    train_head_only,
)
from feathertune.model.base import load_base
from feathertune.model.checkpointing import checkpoint_activations
from feathertune.model.classifier import PackedClassifier
from feathertune.model.precision import PrecisionChoice, choose_precision, set_precision
from feathertune.model.sources import BaseFiles, find_base
from feathertune.recipe import Recipe
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.tokenized import TokenizedTexts, tokenize


@dataclass(frozen=True)
class Job:
    """Everything a run needs, loaded and checked, before anything is trained or written.

    Attributes:
        recipe: as validated.
        dataset: the splits.
        tokenizer: of the base model.
        texts: split name -> its texts, tokenized.
        base: the base model's files.
        base_checksums: file of the base (weights, config, tokenizer) -> sha256.
        classifier: base and head, adapted as the method says.
        lora: what is adapted, or None.
        precision: what the layers compute in, and why.
    """

    recipe: Recipe
    dataset: Dataset
    tokenizer: Any
    texts: dict[str, TokenizedTexts]
    base: BaseFiles
    base_checksums: dict[str, str]
    classifier: PackedClassifier
    lora: LoraShape | None
    precision: PrecisionChoice

    @property
    def evaluated(self) -> list[Split]:
        """The splits that are evaluated before and after: all but train."""
        return [split for name, split in self.dataset.splits.items() if name != "train"]


def prepare(recipe: Recipe, device: torch.device) -> Job:
    """Load and check everything that can be without training, the model onto `device`. Writes nothing.

    Raises:
        UserError: anything wrong with data, model or recipe.
    """
    dataset = load_dataset(recipe.data, recipe.training.seed)
    base = find_base(recipe.model.source, recipe.model.revision)
    tokenizer = load_tokenizer(base.folder, base.gguf_file)
    texts = {
        name: tokenize(tokenizer, split.texts.to_pylist(), recipe.model.max_length)
        for name, split in dataset.splits.items()
    }
    classifier = load_base(base, dataset.label_names, recipe.training.seed)
    _check_positions(classifier, recipe.model.max_length)
    lora = apply_method(classifier, recipe)
    precision = choose_precision(recipe.training.precision, device)
    set_precision(classifier.to(device), precision.precision)
    if recipe.training.checkpoint_activations:
        checkpoint_activations(classifier)
    return Job(recipe, dataset, tokenizer, texts, base, base.checksums(), classifier, lora, precision)


def apply_method(classifier: PackedClassifier, recipe: Recipe) -> LoraShape | None:
    """Freeze and adapt the classifier as the recipe's method says, in place. Returns what LoRA adapts."""
    if recipe.method == "head":
        train_head_only(classifier)
        return None
    if recipe.method == "full":
        train_everything(classifier)
        return None
    section = recipe.lora
    names = find_targets(classifier, section.targets)
    shape = LoraShape(section.rank, section.alpha, section.dropout, section.rslora, names)
    add_lora(classifier, shape, recipe.training.seed)
    return shape


def plan(job: Job) -> dict[str, Any]:
    """What training would do, for --dry-run: JSON-ready."""
    training = job.recipe.training
    per_step = training.batch_size * training.accumulation
    count = count_parameters(job.classifier)
    return {
        "method": job.recipe.method,
        "model": job.recipe.model.source,
        "trainable_parameters": count.trainable,
        "total_parameters": count.total,
        "label_names": list(job.dataset.label_names),
        "examples": {name: len(split) for name, split in job.dataset.splits.items()},
        "tokens": {name: int(texts.offsets[-1]) for name, texts in job.texts.items()},
        "truncated_texts": {name: texts.truncated for name, texts in job.texts.items()},
        "precision": job.precision.precision,
        "steps": -(-len(job.dataset.splits["train"]) // per_step) * training.epochs,
    }


def introduce(job: Job) -> list[str]:
    """What a person should know before waiting: sizes, and whatever makes the data suspect."""
    splits = ", ".join(f"{len(split):,} {name}" for name, split in job.dataset.splits.items())
    lines = [f"{splits} examples; {count_parameters(job.classifier)}", job.precision.reason]
    lines += [f"note: {note}" for note in job.dataset.notes]
    overlap = find_overlap(job.dataset)
    lines += [
        f"warning: {leak.rows} of {leak.second}'s texts are also in {leak.first}" for leak in overlap.leaks if leak.rows
    ]
    lines += [
        f"warning: {count.conflicts} texts of {name} occur with different labels"
        for name, count in overlap.duplicates.items()
        if count.conflicts
    ]
    if job.dataset.bad_rows:
        lines.append(f"warning: {len(job.dataset.bad_rows)} bad rows were left out (listed in data.json)")
    cut = sum(texts.truncated for texts in job.texts.values())
    if cut:
        lines.append(f"warning: {cut} texts are longer than model.max_length and were cut")
    return lines


def _check_positions(classifier: PackedClassifier, max_length: int) -> None:
    """A model with learned positions has only so many of them, and a text to predict may be longer than any here."""
    config = classifier.model.config
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and max_length > (most := limit - classifier.family.first_position(config)):
        raise UserError(
            f"{max_length} tokens are more than the model's {most} positions",
            where="model.max_length",
            fix=f"Set model.max_length={most} or less; longer texts are cut.",
        )
