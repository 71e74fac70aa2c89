"""What cannot be done, found before training: texts longer than a base's positions, shared prefixes, empty shares."""

from __future__ import annotations

from typing import Any

from feathertune.errors import UserError
from feathertune.model.classifier import PackedClassifier
from feathertune.model.dropout_rates import has_dropout
from feathertune.recipe.schema import BASELINES, Recipe
from feathertune.wording.numbers import count


def longest_text(classifier: PackedClassifier) -> int | None:
    """The tokens of the longest text that the model has positions for; None if it has no limit."""
    config = classifier.model.config
    limits = [rope.get("original_max_position_embeddings") for rope in _ropes(config)]
    positions = getattr(config, "max_position_embeddings", None)
    limits += [] if positions is None else [positions - classifier.family.first_position(config)]
    return min((limit for limit in limits if limit), default=None)


def check_max_length(classifier: PackedClassifier, max_length: int) -> None:
    """Raise a UserError if the model has no positions for texts of `max_length` tokens.

    It does not matter how long the texts of the dataset are: those to predict later may be longer.
    """
    config = classifier.model.config
    for rope in _ropes(config):
        # With longrope, one long text switches the whole batch to another scale of positions.
        limit = rope.get("original_max_position_embeddings") or config.max_position_embeddings
        if rope.get("rope_type") == "longrope" and max_length > limit:
            raise UserError(
                f"if a batch has a text of more than {limit} tokens, this model (rope_type: longrope) computes all of "
                "its texts differently, so that a prediction would depend on the other texts",
                where="model.max_length",
                fix=f"Set model.max_length={limit} or less; longer texts are cut.",
            )
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and max_length > (limit := positions - classifier.family.first_position(config)):
        raise UserError(
            f"{max_length} tokens are more than the model's {limit} positions",
            where="model.max_length",
            fix=f"Set model.max_length={limit} or less; longer texts are cut.",
        )


def check_processes(recipe: Recipe, processes: int) -> None:
    """Raise a UserError if a training step has fewer examples than processes share it."""
    training = recipe.training
    step = training.batch_size * training.gradient_accumulation_steps
    if recipe.method not in BASELINES and step < processes:
        raise UserError(
            f"{processes} processes share each step, and a step has {count(step, 'example')}",
            where="training.batch_size",
            fix=f"Set training.batch_size={processes} or more, or start fewer processes.",
        )


def check_prefix_sharing(classifier: PackedClassifier) -> None:
    """Raise a UserError if the texts of a batch cannot share their prefixes in training."""
    if not classifier.causal:
        raise UserError(
            f"training.share_prefixes: {classifier.model.config.model_type}'s tokens depend on what follows them",
            fix="Set training.share_prefixes=false: only causal models (GPT-2, Llama-like) can share.",
        )
    if has_dropout(classifier.model):
        raise UserError(
            "training.share_prefixes: with dropout, equal prefixes are computed differently",
            fix="Set model.dropout=0 and lora.dropout=0, or training.share_prefixes=false.",
        )


def _ropes(config: Any) -> list[dict[str, Any]]:
    """The config's settings of rotary positions: one for all layers, or one for each kind of layer."""
    settings = getattr(config, "rope_parameters", None) or {}
    return [one for one in (settings, *settings.values()) if isinstance(one, dict)]
