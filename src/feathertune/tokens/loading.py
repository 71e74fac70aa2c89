"""Loading a tokenizer from the files of a base model, or from the copy in a run folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from feathertune.errors import UserError, in_short


def load_tokenizer(folder: Path, gguf_file: str | None = None) -> Any:
    """The fast tokenizer in `folder`, or in its GGUF file. Code in the folder is never run.

    Raises:
        UserError: there is no tokenizer, only a slow (Python) one, or only a SentencePiece model without the package
            that reads it.
    """
    from transformers import AutoTokenizer

    if gguf_file is None:
        _check_sentencepiece(folder)
    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)
    except Exception as error:  # tokenizers raises plain Exceptions for a broken tokenizer.json
        raise UserError(
            f"cannot load a tokenizer: {in_short(error)}",
            where=str(folder),
            fix="The model's folder must contain tokenizer.json.",
        ) from None
    if not tokenizer.is_fast:
        raise UserError(
            "the model has no fast tokenizer", where=str(folder), fix="Convert it, so that there is a tokenizer.json."
        )
    return tokenizer


def _check_sentencepiece(folder: Path) -> None:
    """Raise a UserError if transformers would have to convert a SentencePiece model and could not.

    Its own message then names tiktoken, which does not help.
    """
    models = sorted(path.name for path in folder.glob("*.model"))
    others = any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "vocab.txt"))
    if models and not others and importlib.util.find_spec("sentencepiece") is None:
        raise UserError(
            f"the only tokenizer is the SentencePiece model {models[0]}, and sentencepiece is not installed",
            where=str(folder),
            fix="pip install sentencepiece protobuf",
        )


def load_counter(folder: Path, gguf_file: str | None = None) -> Tokenizer:
    """A tokenizer for counting tokens, loaded from tokenizer.json alone if there is one.

    That takes a fraction of a second; `load_tokenizer` imports transformers and torch. Raises the same UserErrors.
    """
    path = folder / "tokenizer.json"
    if gguf_file is not None or not path.is_file():
        tokenizer: Tokenizer = load_tokenizer(folder, gguf_file).backend_tokenizer
        return tokenizer
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise UserError(f"cannot load a tokenizer: {in_short(error)}", where=str(folder)) from None
