"""The tokenizer of a run: the base's, with the prompt, the run's maximum length, and special tokens in texts as text.

It is saved with whatever a run or an export writes, and it is what was evaluated: `AutoTokenizer` and the tokenizers
library give the ids of the run for every text, and transformers' `truncation=True` cuts where the run does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from feathertune.errors import UserError, in_short
from feathertune.system.files import read_json, write_json, write_text
from feathertune.tokens.loading import TOKENIZER, in_general_class, load_as_transformers
from feathertune.tokens.prompt import add_prompt
from feathertune.tokens.special_tokens import SpecialTokens, as_text, special_tokens

_SETTINGS = "tokenizer_config.json"
_SPLIT = "split_special_tokens"
# The files that `save_tokenizer` writes.
SAVED = (TOKENIZER, _SETTINGS)


def run_tokenizer(tokenizer: Any, *, prompt: str | None, max_length: int, special: SpecialTokens) -> Any:
    """The tokenizer that a run trains with.

    Args:
        tokenizer: the base's, a fast transformers tokenizer, which is not changed.
        prompt: see `add_prompt`. Its own special tokens are always special.
        max_length: tokens; longer texts are cut, on the base's side.
        special: `text` to encode special tokens in a text as characters, `parse` to find them.

    Raises:
        UserError: as `add_prompt` and `as_text`.
    """
    prompted = add_prompt(tokenizer, prompt, max_length)
    backend = prompted.backend_tokenizer
    if special == "text":
        backend = as_text(backend, special_tokens(prompted))
    return in_general_class(prompted, backend, model_max_length=max_length, split_special_tokens=special == "text")


def save_tokenizer(tokenizer: Any, folder: Path, max_length: int | None = None) -> None:
    """Write a run's tokenizer for transformers and for the tokenizers library.

    Args:
        tokenizer: the run's.
        folder: an existing folder.
        max_length: of a text, in tokens; by default the tokenizer's own `model_max_length`.
    """
    length = tokenizer.model_max_length if max_length is None else max_length
    saved = tokenizer
    if _SPLIT not in tokenizer.init_kwargs or length != tokenizer.model_max_length:  # not by `run_tokenizer`
        saved = in_general_class(tokenizer, model_max_length=length)
    saved.save_pretrained(folder)
    write_text(folder / TOKENIZER, file_of(tokenizer).to_str(pretty=True))
    settings = read_json(folder / _SETTINGS)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # transformers 4 has the general class by this name only
    write_json(folder / _SETTINGS, settings)


def file_of(tokenizer: Any) -> Tokenizer:
    """The tokenizer for its tokenizer.json, without padding and truncation.

    transformers adds special tokens that have a role to the tokens that are searched for, and skips them in texts by a
    setting that the file does not hold. So they are left out of it again.
    """
    plain: Tokenizer
    if tokenizer.split_special_tokens:
        plain = as_text(tokenizer.backend_tokenizer, special_tokens(tokenizer))
    else:
        plain = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    return plain


def load_run_tokenizer(folder: Path) -> Any:
    """The tokenizer that `save_tokenizer` wrote, or that an earlier version saved, which parsed special tokens.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    settings = read_json(folder / _SETTINGS) if (folder / _SETTINGS).is_file() else {}
    if _SPLIT not in settings:
        return load_as_transformers(folder)
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises plain Exceptions
        raise UserError(f"cannot load a tokenizer: {in_short(error)}", where=str(folder)) from None
