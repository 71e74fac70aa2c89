"""How long a text may be for a base, from its config.json alone: `inspect data` needs it without loading the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = ("max_position_embeddings", "n_positions")
_AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "data2vec-text")  # their positions begin after the pad token's


def positions_in(config: Mapping[str, Any]) -> int | None:
    """The tokens of the longest text that a model has positions for; None if the config names no limit.

    The same as `run.checks.longest_text` of the loaded model.
    """
    positions = next((config[name] for name in _NAMES if isinstance(config.get(name), int)), None)
    if positions is not None and config["model_type"] in _AFTER_PADDING:
        pad = config.get("pad_token_id")
        positions -= 2 if pad is None else pad + 1
    if positions is not None and config["model_type"] == "mpnet":
        positions -= 2
    return min((limit for limit in (positions, *_of_ropes(config)) if limit), default=None)


def _of_ropes(config: Mapping[str, Any]) -> list[int]:
    """The positions before rotary positions were stretched, by the names of transformers 4 and 5."""
    settings = config.get("rope_parameters") or config.get("rope_scaling") or {}
    ropes = [one for one in (settings, *settings.values()) if isinstance(one, Mapping)]
    limits = [rope.get("original_max_position_embeddings") for rope in ropes]
    return [limit for limit in limits if isinstance(limit, int)]
