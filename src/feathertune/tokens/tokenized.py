"""Token ids of many texts in two flat arrays, the compressed-row layout: small, and cheap to slice.

The ids of many texts lie in a mapped file (see `spool`), so that only offsets, 8 bytes a text, take memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from feathertune.data.chunks import in_chunks
from feathertune.errors import UserError
from feathertune.system.spool import Spool

CHUNK_TEXTS = 1024  # tokenized at a time: enough to keep the Rust tokenizer's threads busy
CHUNK_CHARACTERS = 2**20  # or so many of them: the tokenizer takes about 55 bytes a character


@dataclass(frozen=True)
class TokenizedTexts:
    """The token ids of N texts.

    Attributes:
        ids: [T] int32, the ids of all texts, end to end; read only.
        offsets: [N + 1] int64; text i is `ids[offsets[i]:offsets[i + 1]]`.
        truncated: how many texts were longer than the limit and were cut.
        uncut_lengths: [N] int32, how many tokens each text had before that; None where none was cut.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    truncated: int = 0
    uncut_lengths: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[N] int64: the number of tokens of each text."""
        return np.diff(self.offsets)

    @property
    def whole_lengths(self) -> npt.NDArray[np.int64]:
        """[N] int64: the number of tokens of each text before any was cut."""
        return self.lengths if self.uncut_lengths is None else self.uncut_lengths.astype(np.int64)

    def window(self, begin: int, end: int) -> TokenizedTexts:
        """The texts from `begin` up to `end`, as views of the same arrays."""
        return TokenizedTexts(self.ids, self.offsets[begin : end + 1])


def tokenize(tokenizer: Any, texts: Iterable[str], max_length: int) -> TokenizedTexts:
    """Tokenize `texts` with a transformers tokenizer, special tokens included, none longer than `max_length`.

    Raises:
        UserError: a text that becomes no tokens at all (it would have no row to pool).
    """
    ids, lengths, uncut_lengths = Spool(), array("q", [0]), array("i")
    truncated = 0
    for chunk in _chunks(texts):
        rows = _encode(tokenizer.backend_tokenizer, chunk)
        uncut_lengths.extend(map(len, rows))
        long = [index for index, row in enumerate(rows) if len(row) > max_length]
        if long:
            # The tokenizer cuts, not we: it knows to keep a closing [SEP].
            long_texts = [chunk[index] for index in long]
            cut = tokenizer(long_texts, truncation=True, max_length=max_length, padding=False)["input_ids"]
            for index, row in zip(long, cut, strict=True):
                rows[index] = row
            truncated += len(long)
        for text, row in zip(chunk, rows, strict=True):
            if not row:
                raise UserError(f"the text {text!r} has no tokens", fix="Leave out empty texts.")
        lengths.extend(map(len, rows))
        ids.write(np.fromiter(chain.from_iterable(rows), dtype=np.int32).data)
    return TokenizedTexts(
        np.frombuffer(ids.finish(), dtype=np.int32),
        np.cumsum(np.array(lengths, dtype=np.int64)),
        truncated,
        np.array(uncut_lengths, dtype=np.int32) if truncated else None,
    )


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """[N] int64: how many tokens each text has, uncut. The tokenizer is one of the library `tokenizers`."""
    counts = array("q")
    for chunk in _chunks(texts):
        counts.extend(map(len, _encode(tokenizer, chunk)))
    return np.array(counts, dtype=np.int64)


def _encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """The ids of each text, uncut: what transformers gives, which makes lists of more and takes twice the time."""
    if tokenizer.truncation is not None:
        tokenizer.no_truncation()
    if tokenizer.padding is not None:
        tokenizer.no_padding()
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=True)]


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    return in_chunks(texts, CHUNK_TEXTS, CHUNK_CHARACTERS, len)
