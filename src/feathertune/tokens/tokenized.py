"""Token ids of many texts in two flat arrays (compressed rows), which are small and cheap to slice.

The ids of many texts are in a memory-mapped file (see `spool`), so that only the offsets, 8 bytes per text, use memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from feathertune.data.chunks import in_chunks
from feathertune.errors import TextError
from feathertune.system.spool import Spool

CHUNK_TEXTS = 1024  # texts tokenized at a time: enough to keep the Rust tokenizer's threads busy
CHUNK_CHARACTERS = 2**20  # limit of a chunk in characters: the tokenizer needs about 55 bytes per character


@dataclass(frozen=True)
class TokenizedTexts:
    """The token ids of N texts.

    Attributes:
        ids: [T] int32, the ids of all texts, end to end; read only.
        offsets: [N + 1] int64; text i is `ids[offsets[i]:offsets[i + 1]]`.
        truncated: how many texts were truncated.
        lengths_before: [N] int32, the number of tokens of each text before truncation; None if none was truncated.
        unknown_cut: how many unknown tokens truncation cut off.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    truncated: int = 0
    lengths_before: npt.NDArray[np.int32] | None = None
    unknown_cut: int = 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[N] int64: the number of tokens of each text."""
        return np.diff(self.offsets)

    @property
    def full_lengths(self) -> npt.NDArray[np.int64]:
        """[N] int64: the number of tokens of each text before truncation."""
        return self.lengths if self.lengths_before is None else self.lengths_before.astype(np.int64)

    def without_trailing(self, token: int | None) -> TokenizedTexts:
        """The texts without repetitions of `token` at their ends; of a text of nothing else, one stays."""
        lengths_N = self.lengths
        while token is not None:
            ends_N = self.offsets[:-1] + lengths_N - 1
            trailing_N = (self.ids[ends_N] == token) & (lengths_N > 1)
            if not trailing_N.any():
                break
            lengths_N = lengths_N - trailing_N
        if np.array_equal(lengths_N, self.lengths):
            return self
        ids = Spool()
        for index, length in enumerate(lengths_N.tolist()):
            ids.write(self[index][:length].data)
        offsets = np.concatenate([[0], np.cumsum(lengths_N)]).astype(np.int64)
        return TokenizedTexts(np.frombuffer(ids.finish(), dtype=np.int32), offsets)

    def window(self, begin: int, end: int) -> TokenizedTexts:
        """The texts from `begin` up to `end`, as views of the same arrays."""
        return TokenizedTexts(self.ids, self.offsets[begin : end + 1])


def tokenize(
    tokenizer: Any, texts: Iterable[str], max_length: int, place: Callable[[int], str] | None = None
) -> TokenizedTexts:
    """Tokenize `texts` with a transformers tokenizer, with special tokens, truncated to `max_length` tokens.

    Raises:
        TextError: a text has no tokens at all, so there would be nothing to pool; `place` names its place in its file.
    """
    ids, lengths, lengths_before = Spool(), array("q", [0]), array("i")
    truncated = unknown_cut = 0
    unknown = unknown_id(tokenizer)
    for chunk in text_chunks(texts):
        rows = _encode(tokenizer.backend_tokenizer, chunk)
        lengths_before.extend(map(len, rows))
        long = [index for index, row in enumerate(rows) if len(row) > max_length]
        if long:
            # The tokenizer truncates these itself, since it keeps a closing [SEP].
            long_texts = [chunk[index] for index in long]
            cut = tokenizer(long_texts, truncation=True, max_length=max_length, padding=False)["input_ids"]
            for index, row in zip(long, cut, strict=True):
                unknown_cut += 0 if unknown is None else rows[index].count(unknown) - row.count(unknown)
                rows[index] = row
            truncated += len(long)
        if not all(rows):
            first = next(index for index, row in enumerate(rows) if not row)
            where = None if place is None else place(len(lengths) - 1 + first)
            what = f"the text {chunk[first]!r} has no tokens"
            raise TextError(what, len(lengths) - 1 + first, where=where, fix="Remove empty texts.")
        lengths.extend(map(len, rows))
        ids.write(np.fromiter(chain.from_iterable(rows), dtype=np.int32).data)
    return TokenizedTexts(
        np.frombuffer(ids.finish(), dtype=np.int32),
        np.cumsum(np.array(lengths, dtype=np.int64)),
        truncated,
        np.array(lengths_before, dtype=np.int32) if truncated else None,
        unknown_cut,
    )


def unknown_id(tokenizer: Any) -> int | None:
    """The id of what a transformers tokenizer puts for what it does not know; None if it knows everything."""
    if tokenizer.unk_token_id is not None:
        return int(tokenizer.unk_token_id)
    number: int | None = tokenizer.backend_tokenizer.token_to_id(
        getattr(tokenizer.backend_tokenizer.model, "unk_token", None) or ""
    )
    return number


def _encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """The ids of each text, without truncation. transformers gives the same in twice the time."""
    if tokenizer.truncation is not None:
        tokenizer.no_truncation()
    if tokenizer.padding is not None:
        tokenizer.no_padding()
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=True)]


def text_chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists that are tokenized at a time."""
    return in_chunks(texts, CHUNK_TEXTS, CHUNK_CHARACTERS, len)
