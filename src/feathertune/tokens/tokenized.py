"""Token ids of many texts in two flat arrays, the compressed-row layout: small, and cheap to slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.errors import UserError

_CHUNK = 4096  # texts tokenized at a time: enough to keep the Rust tokenizer's threads busy


@dataclass(frozen=True)
class TokenizedTexts:
    """The token ids of N texts.

    Attributes:
        ids: [T] int32, the ids of all texts, end to end.
        offsets: [N + 1] int64; text i is `ids[offsets[i]:offsets[i + 1]]`.
        truncated: how many texts were longer than the limit and were cut.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[N] int64: the number of tokens of each text."""
        return np.diff(self.offsets)


def tokenize(tokenizer: Any, texts: Iterable[str], max_length: int) -> TokenizedTexts:
    """Tokenize `texts` with a transformers tokenizer, special tokens included, none longer than `max_length`.

    Raises:
        UserError: a text that becomes no tokens at all (it would have no row to pool).
    """
    parts: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    truncated = 0
    for chunk in _chunks(texts):
        full = tokenizer(chunk, add_special_tokens=True, truncation=False, padding=False, verbose=False)["input_ids"]
        too_long = [len(ids) > max_length for ids in full]
        if any(too_long):
            # The tokenizer cuts, not we: it knows to keep a closing [SEP].
            long_texts = [text for text, long in zip(chunk, too_long, strict=True) if long]
            cut = iter(tokenizer(long_texts, truncation=True, max_length=max_length, padding=False)["input_ids"])
            full = [next(cut) if long else ids for ids, long in zip(full, too_long, strict=True)]
            truncated += len(long_texts)
        for text, ids in zip(chunk, full, strict=True):
            if not ids:
                raise UserError(f"the text {text!r} has no tokens", fix="Leave out empty texts.")
            lengths.append(len(ids))
        parts.append(np.fromiter((i for ids in full for i in ids), dtype=np.int32, count=sum(map(len, full))))
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
    return TokenizedTexts(ids, offsets, truncated)


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """[N] int64: how many tokens each text has, uncut."""
    counts = [len(ids) for chunk in _chunks(texts) for ids in tokenizer(chunk, verbose=False)["input_ids"]]
    return np.array(counts, dtype=np.int64)


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
