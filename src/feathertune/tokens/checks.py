"""Whether a tokenizer belongs to its model: its ids have rows in the embedding, and it knows the texts' characters.

A model computes something for any ids that it has. So a tokenizer of another model, or one that was made up from
nothing, would train to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from feathertune.data.remarks import another_base
from feathertune.data.scripts import main_script
from feathertune.errors import TextError, UserError
from feathertune.tokens.tokenized import TokenizedTexts, unknown_id
from feathertune.wording.visible import visible

_SMALLEST_SHARE = 0.5  # of the model's vocabulary; real ones differ by a few percent, rounded up for the hardware
MOST_UNKNOWN = 0.5  # of the tokens of train
_SHOWN = 100  # characters
_SAMPLED = 2000  # texts, to find their script


def check_vocabulary(tokenizer: Any, rows: int, where: str) -> None:
    """Raise a UserError if the tokenizer's vocabulary is far smaller than the model's, which has `rows` embeddings."""
    if len(tokenizer) < _SMALLEST_SHARE * rows:
        raise UserError(
            f"the tokenizer has {len(tokenizer):,} tokens and the model {rows:,}: they do not belong together",
            where=where,
            fix="Copy the tokenizer's files into the folder: those of the model that the base was made from.",
        )


def check_ids(
    tokens: TokenizedTexts, rows: int, tokenizer: Any, text: Callable[[int], str], place: Callable[[int], str] | None
) -> None:
    """Raise a UserError, naming the text and the token, if a token has no row in the model's embedding.

    Args:
        tokens: the texts' tokens.
        rows: of the embedding.
        tokenizer: that made them, a fast transformers tokenizer or one of the `tokenizers` library.
        text: the text at an index.
        place: where it is in its file, if it is in one.
    """
    if not len(tokens.ids) or int(tokens.ids.max()) < rows:
        return
    position = int((tokens.ids >= rows).argmax())
    index = int(np.searchsorted(tokens.offsets, position, side="right")) - 1
    raise no_row(int(tokens.ids[position]), rows, tokenizer, text(index), index, place)


def no_row(
    number: int, rows: int, tokenizer: Any, text: str, index: int, place: Callable[[int], str] | None = None
) -> TextError:
    """The error for a token, by its number, of the text at `index` that the model has no embedding for."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    return TextError(
        f"the text {_shown(text)} has the token {visible(str(backend.id_to_token(number)))!r}, number {number:,}; the "
        f"model's vocabulary ends at {rows - 1:,}",
        index,
        where=None if place is None else place(index),
        fix="This token was added to the tokenizer and not to the model: leave it out of texts, or remove it from "
        "added_tokens in the base's tokenizer.json.",
    )


def unknown_share(tokens: TokenizedTexts, tokenizer: Any) -> float:
    """The share of the texts' own tokens, without those around each text, that are the unknown token.

    Tokens that were cut count as well: a share of the texts, not of what a maximum length leaves of them.
    """
    unknown = unknown_id(tokenizer)
    around = np.array(tokenizer.backend_tokenizer.encode("").ids, dtype=np.int64)
    own = int(tokens.full_lengths.sum()) - len(tokens) * len(around)
    if unknown is None or own <= 0:
        return 0.0
    found = np.count_nonzero(tokens.ids == unknown) - len(tokens) * np.count_nonzero(around == unknown)
    return float((found + tokens.unknown_cut) / own)


def check_known(share: float, unknown: str | None, texts: Sequence[str], where: str) -> None:
    """Raise a UserError if most tokens of the training texts are unknown to the tokenizer.

    Args:
        share: of the texts' own tokens that are unknown: see `unknown_share`.
        unknown: the token for what is unknown.
        texts: the training texts.
        where: the base.
    """
    if share > MOST_UNKNOWN:
        script = main_script(texts[index] for index in range(min(len(texts), _SAMPLED)))
        raise UserError(
            f"{share:.0%} of the tokens of train are {unknown}, unknown to the base's tokenizer; the first text is "
            f"{_shown(texts[0])}",
            where=where,
            fix=f"Use a base for the language of the texts, and check that its tokenizer is its own: "
            f"{another_base(script, where)}.",
        )


def _shown(text: str) -> str:
    return f"'{visible(text if len(text) <= _SHOWN else text[:_SHOWN] + '…')}'"
