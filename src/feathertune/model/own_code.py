"""Configs that name code in their own repository (auto_map), and where that code is transformers' by now.

Code from a repository is never run. EuroBERT's and Nomic's repositories came with the code that transformers has since
adopted, so transformers' own classes read their weights.
"""

from __future__ import annotations

from typing import Any

from feathertune.errors import UserError

# model_type -> how the adopted classes are called, there and in transformers.
_ADOPTED = {"eurobert": "EuroBert", "nomic_bert": "NomicBert"}
# Nomic's first names of settings -> transformers', which ignores the first ones.
_RENAMED = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "layer_norm_epsilon": "layer_norm_eps",
}
# What Nomic's code could be set to, and the only value that transformers computes.
_FIXED = {
    "activation_function": "swiglu",
    "causal": False,
    "parallel_block": False,
    "prenorm": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "use_rms_norm": False,
}


def check_own_code(config: dict[str, Any], where: str) -> None:
    """Raise a UserError if a config.json names code of its own that transformers has not adopted."""
    code = config.get("auto_map")
    if not code:
        return
    adopted = _ADOPTED.get(config["model_type"])
    references = code.values() if isinstance(code, dict) else ()
    classes = [str(reference).rpartition(".")[2] for reference in references]
    if adopted is None or not classes or not all(name.startswith(adopted) for name in classes):
        raise UserError(
            "the model needs code from its own folder (auto_map), which is never run",
            where=where,
            fix="Use a model that transformers supports without extra code.",
        )


def check_settings_are_read(config: Any, where: str) -> None:
    """Raise a UserError if a config has settings under Nomic's first names that transformers reads otherwise, or not.

    Args:
        config: transformers' config, which keeps what it does not read as attributes.
        where: for the message.
    """
    if config.model_type != "nomic_bert":
        return
    for first, name in _RENAMED.items():
        own = getattr(config, first, None)
        if own is not None and own != getattr(config, name):
            raise _not_read(first, own, f"{name}={getattr(config, name)}", f'Write "{name}": {own}', where)
    base, theta = getattr(config, "rotary_emb_base", None), config.rope_parameters["rope_theta"]
    if base is not None and base != theta:
        fix = f'Write "rope_parameters": {{"rope_type": "default", "rope_theta": {base}}}'
        raise _not_read("rotary_emb_base", base, f"a rope_theta of {theta:g}", fix, where)
    for key, value in _FIXED.items():
        own = getattr(config, key, value)
        if own != value:
            raise UserError(f"transformers' NomicBERT computes only {key}={value}, the config has {own}", where=where)


def _not_read(key: str, own: object, taken: str, fix: str, where: str) -> UserError:
    return UserError(
        f"the config has {key}={own}, which transformers does not read: it takes {taken}",
        where=where,
        fix=f"{fix} into config.json.",
    )
