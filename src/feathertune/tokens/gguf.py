"""How a GGUF file's tokenizer splits a text before its merges: `tokenizer.ggml.pre`.

transformers obeys some of the names and splits as GPT-2 does for all others, without a word. The names and what they
stand for are llama.cpp's (`llama_vocab`, LLAMA_VOCAB_PRE_TYPE_*).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

# Split as GPT-2 does.
_LIKE_GPT2 = frozenset(
    {"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe"}
    | {"gigachat", "mpt", "olmo", "jais", "trillion", "a.x-4.0", "mellum", "modern-bert", "exaone4", "granite-docling"}
)
# The same, and every digit is a piece of its own.
_SINGLE_DIGITS = frozenset(["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"])


def obey_pre_tokenizer(tokenizer: Tokenizer, file: Path) -> tuple[bool, str | None]:
    """Make a tokenizer, as transformers reads it from a GGUF file, split texts as the file says, in place.

    Returns:
        Whether it now splits otherwise than transformers would, and a warning if it is unknown how the file splits.
    """
    metadata = _metadata(file)
    if metadata.get("tokenizer.ggml.model") != "gpt2":  # others do not split by a pattern
        return False, None
    name = metadata.get("tokenizer.ggml.pre")
    if name in _LIKE_GPT2 or name in _known_to_transformers():
        return False, None
    if name in _SINGLE_DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
        return True, None
    problem = "names no pre-tokenizer" if name is None else f"names the pre-tokenizer {name!r}, which is unknown here"
    return False, (
        f"the GGUF file {problem} (tokenizer.ggml.pre): its texts are split as GPT-2's are, which may differ from what "
        "the model was trained on"
    )


def _metadata(file: Path) -> dict[str, Any]:
    from transformers.integrations.gguf.reader import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(file))
    return dict(metadata)


def _known_to_transformers() -> frozenset[str]:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    return frozenset(GGUF_PRE_TOKENIZER_SPLITS)
