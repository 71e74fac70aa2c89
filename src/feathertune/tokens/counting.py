"""How many tokens texts have, and how many of them are unknown, without keeping their ids: for `inspect data`.

A BERT tokenizer splits at spaces before anything else, so it tokenizes each word by itself. Then every different word
is tokenized once, and Arrow does the rest: a million short texts in two seconds instead of fifteen, with equal counts.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from feathertune.data.texts import iterate
from feathertune.tokens.tokenized import text_chunks

_WORDS_KEPT = 2**16  # different words whose counts are remembered from one chunk of texts to the next
_CHUNK_BYTES = 2**22


@dataclass(frozen=True)
class TokenCounts:
    """Counts for N texts.

    Attributes:
        lengths: [N] int64, all tokens of each text, without truncation.
        unknown: how many of all texts' own tokens are the unknown token.
        around: tokens that every text has besides its own: [CLS], [SEP], a prompt.
    """

    lengths: npt.NDArray[np.int64]
    unknown: int
    around: int

    @property
    def unknown_share(self) -> float:
        """The share of the texts' own tokens that are unknown."""
        return self.unknown / max(int(self.lengths.sum()) - len(self.lengths) * self.around, 1)


def unknown_token(tokenizer: Tokenizer) -> str | None:
    """What a tokenizer puts for characters or words that it does not know; None if it knows all."""
    name: str | None = getattr(tokenizer.model, "unk_token", None)
    if name is None:
        model = json.loads(tokenizer.to_str())["model"]
        number = model.get("unk_id")
        name = None if number is None else tokenizer.id_to_token(number)
    return name if name and tokenizer.token_to_id(name) is not None else None


def count_tokens(tokenizer: Tokenizer, texts: pa.ChunkedArray, unknown: str | None) -> TokenCounts:
    """Count the tokens of a column of texts, and those that are `unknown`."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    number = None if unknown is None else tokenizer.token_to_id(unknown)
    around = tokenizer.encode("").ids
    if splits_at_spaces(tokenizer):
        lengths_N, found = _by_words(tokenizer, texts, number)
    else:
        lengths_N, found = _by_texts(tokenizer, texts, number)
        lengths_N = lengths_N - len(around)
        found -= len(texts) * around.count(-1 if number is None else number)
    return TokenCounts(lengths_N + len(around), found, len(around))


def splits_at_spaces(tokenizer: Tokenizer) -> bool:
    """Whether the tokens of a text are those of its words, however it continues: true of BERT's tokenizers."""
    settings = json.loads(tokenizer.to_str())
    normalizer, pre_tokenizer = settings["normalizer"], settings["pre_tokenizer"] or {"type": "none"}
    steps = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    return (
        settings["model"]["type"] == "WordPiece"
        and (normalizer is None or normalizer["type"] == "BertNormalizer")
        and steps[0]["type"] == "BertPreTokenizer"
        and all(step["type"] == "Split" for step in steps[1:])  # of special tokens, within words
        and not any(" " in token["content"] for token in settings["added_tokens"])
    )


def _by_texts(tokenizer: Tokenizer, texts: pa.ChunkedArray, unknown: int | None) -> tuple[npt.NDArray[np.int64], int]:
    """All tokens of each text, and the number of unknown ones in all of them."""
    lengths, found = array("q"), 0
    for chunk in text_chunks(iterate(texts)):
        for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=True):
            lengths.append(len(encoding))
            found += 0 if unknown is None else encoding.ids.count(unknown)
    return np.array(lengths, dtype=np.int64), found


def _by_words(tokenizer: Tokenizer, texts: pa.ChunkedArray, unknown: int | None) -> tuple[npt.NDArray[np.int64], int]:
    """Each text's own tokens, and the number of unknown ones in all of them; every word is tokenized once."""
    known: dict[str, tuple[int, int]] = {}
    lengths, found = [], 0
    for chunk in _small(texts):
        words = pc.split_pattern(chunk, " ")
        different = words.flatten().dictionary_encode()
        names = different.dictionary.to_pylist()
        _learn(tokenizer, [name for name in names if name not in known], unknown, known)
        counts_W2 = np.array([known[name] for name in names], dtype=np.int32).reshape(-1, 2)
        sums_2 = np.cumsum(counts_W2[different.indices.to_numpy()], axis=0, dtype=np.int32)  # of a few MiB of text
        ends_N1 = words.offsets.to_numpy() - words.offsets[0].as_py()
        lengths.append(np.diff(np.concatenate([[0], sums_2[:, 0]])[ends_N1]))
        found += int(sums_2[-1, 1]) if len(sums_2) else 0
        if len(known) > _WORDS_KEPT:
            known.clear()
    return np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64), found


def _small(texts: pa.ChunkedArray) -> list[pa.Array]:
    """The chunks of a column, in slices of a few MiB."""
    slices = []
    for chunk in texts.chunks:
        step = max(1, len(chunk) * _CHUNK_BYTES // max(chunk.nbytes, 1))
        slices += [chunk.slice(start, step) for start in range(0, len(chunk), step)]
    return slices


def _learn(tokenizer: Tokenizer, words: Sequence[str], unknown: int | None, known: dict[str, tuple[int, int]]) -> None:
    """Add the number of tokens, and of unknown ones, of each word."""
    for chunk in text_chunks(words):
        encodings = tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
        for word, encoding in zip(chunk, encodings, strict=True):
            ids = encoding.ids
            known[word] = (len(ids), 0 if unknown is None else ids.count(unknown))
