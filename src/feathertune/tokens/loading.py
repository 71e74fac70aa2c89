"""Loading a tokenizer from the files of a base model, or from a run folder that keeps a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from feathertune.errors import UserError, in_short


def load_tokenizer(folder: Path, gguf_file: str | None = None) -> Any:
    """The fast tokenizer in `folder` (or inside its GGUF file). Never runs code from the folder.

    Raises:
        UserError: there is no tokenizer, or only a slow (Python) one.
    """
    from transformers import AutoTokenizer

    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)
    except Exception as error:  # the tokenizers library raises Exception itself for a broken tokenizer.json
        raise UserError(
            f"cannot load a tokenizer: {in_short(error)}",
            where=str(folder),
            fix="The model's folder needs tokenizer.json beside the weights.",
        ) from None
    if not tokenizer.is_fast:
        raise UserError(
            "the model has no fast tokenizer", where=str(folder), fix="Convert it: its folder needs tokenizer.json."
        )
    return tokenizer


def load_counter(folder: Path, gguf_file: str | None = None) -> Tokenizer:
    """What counts tokens as `load_tokenizer`'s would: tokenizer.json alone, where there is one.

    That takes a fraction of a second; transformers imports torch first. Raises UserError as `load_tokenizer` does.
    """
    path = folder / "tokenizer.json"
    if gguf_file is not None or not path.is_file():
        tokenizer: Tokenizer = load_tokenizer(folder, gguf_file).backend_tokenizer
        return tokenizer
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises Exception itself
        raise UserError(f"cannot load a tokenizer: {in_short(error)}", where=str(folder)) from None
