"""What makes two texts the same: Unicode NFC, case folding and collapsed white space.

They are compared by a 64-bit hash: among a million texts, the probability of any collision is about 3 in 10^8.
"""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feathertune.data.texts import iterate


def normalized(text: str) -> str:
    """The form in which texts are compared: NFC, case folded, with single spaces."""
    if not text.isascii():
        # Case folding may decompose a character, hence the second NFC.
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(text.casefold().split())


def text_keys(texts: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """[N] uint64: a hash of each text's normalized form."""
    digests = bytearray()
    for text in iterate(texts):
        digests += hashlib.blake2b(normalized(text).encode(), digest_size=8).digest()
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64, copy=False)
