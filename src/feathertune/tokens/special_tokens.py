"""Special tokens written out in a text, such as '[SEP]' or '<|endoftext|>': encoded as the characters they are.

The libraries do part of it. `encode_special_tokens` of tokenizers keeps special tokens from being matched, but
tokenizer.json does not hold it, and a model whose own vocabulary has the token (Unigram: XLM-R, ALBERT) finds it all
the same. So the tokenizer itself is changed: its special tokens become entries of its model's vocabulary, with their
ids, instead of added tokens that are searched for in every text, and where the model would still produce one, the text
is split after the token's first character. What adds special tokens around a text, the post-processor, has their ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from feathertune.errors import UserError

SpecialTokens = Literal["text", "parse"]
_SYNTAX = re.compile(r"([\\^$.|?*+()\[\]{}/])")  # escaped alike by Oniguruma, RE2 and JavaScript
_AROUND = ("{}", "a {} a", "a{}a", "{0}{0}", "\n{}\n")  # where a tokenizer may treat the same characters differently


def special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """The special tokens of a fast transformers tokenizer: those marked as special, and those that have a role."""
    marked = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return tuple(dict.fromkeys((*marked, *tokenizer.special_tokens_map.values())))


def marked_as_special(tokenizer: Tokenizer) -> tuple[str, ...]:
    """The special tokens of a tokenizer of the `tokenizers` library."""
    return tuple(token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special)


def count_texts_with(special: Sequence[str], texts: pa.ChunkedArray) -> int:
    """How many of the texts contain a special token, written out."""
    if not special:
        return 0
    found = pc.match_substring_regex(texts, "|".join(map(_literally, special)))
    return int(pc.sum(found).as_py() or 0)


def as_text(tokenizer: Tokenizer, special: Iterable[str]) -> Tokenizer:
    """A copy of a tokenizer that never finds the `special` tokens in a text, nor does one loaded from its file.

    Raises:
        UserError: the ids of the tokens cannot be kept.
    """
    names = set(special)
    settings = json.loads(tokenizer.to_str())
    vocabulary = settings["model"]["vocab"]
    ids = {token["content"]: token["id"] for token in settings["added_tokens"]}
    settings["added_tokens"] = [token for token in settings["added_tokens"] if token["content"] not in names]
    last = max((number for content, number in ids.items() if content in names), default=-1)
    before = {content: number for content, number in ids.items() if content in names or number < last}
    for moved in (before, ids):  # all of them only if the others would not keep their ids
        settings["model"]["vocab"] = _with_tokens(vocabulary, moved, names)
        changed = Tokenizer.from_str(json.dumps(settings))
        if all(changed.token_to_id(content) == number for content, number in ids.items()):
            break
    else:
        raise UserError(
            f"a tokenizer of the kind {settings['model']['type']} cannot keep its special tokens out of texts",
            where="model.special_tokens_in_text",
            fix="Set model.special_tokens_in_text=parse.",
        )
    if produced := [name for name in names if _produces(changed, name)]:
        settings["pre_tokenizer"] = _splitting(settings["pre_tokenizer"], produced)
        changed = Tokenizer.from_str(json.dumps(settings))
    changed.encode_special_tokens = True  # for those that transformers adds again, since they have a role
    return changed


def _with_tokens(vocabulary: Any, moved: dict[str, int], special: set[str]) -> Any:
    """The vocabulary of a tokenizer.json's model, with the `moved` added tokens that it lacks, by their ids.

    Those that are not special remain added tokens too. Where they follow the special ones they keep their ids by
    themselves, and had better stay out of the vocabulary: a model would find 'covid' in 'covids', although the added
    token may be set to match whole words only.
    """
    if isinstance(vocabulary, dict):
        return {**moved, **vocabulary}
    size = len(vocabulary)  # Unigram: an id is a position
    names = {number: content for content, number in moved.items() if number >= size}
    if not set(names.values()) & special:
        return vocabulary
    lowest = min((score for _, score in vocabulary), default=0.0)  # what an unknown character costs follows from it
    return [*vocabulary, *([names.get(number, f"\0{number}"), lowest] for number in range(size, max(names) + 1))]


def _produces(tokenizer: Tokenizer, name: str) -> bool:
    """Whether the tokenizer gives a special token's id to its characters in a text."""
    number = tokenizer.token_to_id(name)
    texts = [around.format(name) for around in _AROUND]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return len(name) > 1 and any(number in encoding.ids for encoding in encodings)


def _splitting(pre_tokenizer: dict[str, Any] | None, names: Iterable[str]) -> dict[str, Any]:
    """The pre-tokenizer, followed by a split after the first character of each of the `names`.

    It comes last, so that the names are met as the model would: after lower-casing, for example.
    """
    rests: dict[str, list[str]] = {}
    for name in sorted(names):
        rests.setdefault(name[0], []).append(_literally(name[1:]))
    pattern = "|".join(f"{_literally(first)}(?={'|'.join(rest)})" for first, rest in rests.items())
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "MergedWithPrevious", "invert": False}
    if pre_tokenizer is None:
        return split
    before = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    return {"type": "Sequence", "pretokenizers": [*before, split]}


def _literally(text: str) -> str:
    """A regular expression for exactly this text."""
    return _SYNTAX.sub(r"\\\1", text)
