"""Building a run's model from its base: for training, for each member of a model soup, and once more in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from feathertune.errors import UserError
from feathertune.folders.adapter import AdapterFolder
from feathertune.folders.run import RunFolder
from feathertune.model.adapt import LoraShape, add_lora, find_targets, train_everything, train_head_only
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.dropout_rates import set_dropouts
from feathertune.model.gradient_checkpointing import enable_gradient_checkpointing
from feathertune.model.padding import fit_padding
from feathertune.model.peft_files import load_adapter
from feathertune.model.precision import set_precision
from feathertune.model.sources import BaseFiles
from feathertune.recipe.files import load_recipe
from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.run.start import adapter_shape

Built = tuple[PackedClassifier, LoraShape | None]  # a model, and the shape of its LoRA layers if it has any


@dataclass(frozen=True)
class ModelBuilder:
    """Builds the model of a run as often as it is needed, each time from the base's files.

    A model is built in float32, on its device, with the recipe's dropout rates and gradient checkpointing.

    Attributes:
        recipe: the run's.
        base: the base model's files.
        label_names: the classes.
        device: where the model computes.
        tokenizer: the base model's; it determines the pad token.
    """

    recipe: Recipe
    base: BaseFiles
    label_names: tuple[str, ...]
    device: torch.device
    tokenizer: Any

    def build(self, shape: LoraShape | None = None, seed: int | None = None) -> Built:
        """The base adapted by the recipe's method, untrained. See `apply_method` for the arguments and errors.

        New parts of the base, such as its head, are always initialized from the recipe's seed.
        """
        return self._build(self.recipe.training.seed, lambda model: apply_method(model, self.recipe, shape, seed))

    def build_like(self, start: RunFolder) -> Built:
        """The same, with LoRA layers shaped like those of the run `start`. Raises UserError if it has none."""
        return self._build(
            self.recipe.training.seed,
            lambda model: apply_method(model, self.recipe, adapter_shape(model, start)),
        )

    def build_trained(self, start: RunFolder) -> Built:
        """The base with the trained adapter of the run `start`."""
        recipe = self.recipe if isinstance(start, AdapterFolder) else load_recipe(start.recipe)
        seed = recipe.training.seed  # initializes what is neither in the base nor in the adapter
        return self._build(seed, lambda model: load_adapter(model, start.adapter))

    def _build(self, seed: int, adapt: Callable[[PackedClassifier], LoraShape | None]) -> Built:
        classifier = load_base(self.base, self.label_names, seed)
        fit_padding(classifier, self.tokenizer)
        if self.recipe.model.dropout is not None:
            set_dropouts(classifier.model, self.recipe.model.dropout)
        shape = adapt(classifier)
        set_precision(classifier.to(self.device), "fp32")
        if self.recipe.training.gradient_checkpointing:
            enable_gradient_checkpointing(classifier)
        return classifier, shape


def apply_method(
    classifier: PackedClassifier, recipe: Recipe, shape: LoraShape | None = None, seed: int | None = None
) -> LoraShape | None:
    """Freeze and adapt the classifier by the recipe's method, in place.

    Args:
        classifier: a newly loaded base.
        recipe: names the method.
        shape: of the LoRA layers; by default the recipe's.
        seed: initializes the LoRA factors; by default the recipe's.

    Returns:
        The shape of the LoRA layers; None for a method without them.

    Raises:
        UserError: a baseline, which trains no transformer; or `lora.targets` and `lora.layers` match no layer.
    """
    if recipe.method in BASELINES:
        raise UserError(f"the method {recipe.method} is a baseline: it trains no transformer", where="method")
    if recipe.method == "head":
        train_head_only(classifier)
        return None
    if recipe.method == "full":
        train_everything(classifier)
        return None
    if shape is None:
        section, names = recipe.lora, find_targets(classifier, recipe.lora.targets, recipe.lora.layers)
        shape = LoraShape(section.rank, section.alpha, section.dropout, section.rslora, names)
    add_lora(classifier, shape, recipe.training.seed if seed is None else seed)
    return shape


def free(classifier: PackedClassifier) -> None:
    """Free the memory of a model that is not used any more, even if it is still referenced."""
    classifier.to("meta")
