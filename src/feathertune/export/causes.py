"""What probably led to a refusal of the parity gate, where the texts or the margins show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from feathertune.export.parity import margins
from feathertune.folders.parity import Parity
from feathertune.prediction.predictions import Predictions
from feathertune.run.load import TrainedModel
from feathertune.wording.numbers import count
from feathertune.wording.visible import shown

HARDLY_TRAINED = 0.2  # logits: the median margin below which the classes are hardly told apart


def likely_causes(parity: Parity, evaluated: Predictions, trained: TrainedModel) -> tuple[str, ...]:
    """One sentence for each likely cause; none for an artefact that passes."""
    if parity.passed:
        return ()
    causes = [_special_tokens(parity, trained.tokenizer), _cut(parity, trained)]
    median = float(np.median(margins(evaluated)))
    if median < HARDLY_TRAINED:
        causes.append(
            f"the model hardly tells the classes apart: half of the evaluated margins are below {median:.2g} in "
            "logits, so rounding decides labels. Was it trained long enough?"
        )
    if parity.checks and not parity.checks[0].refused:
        causes.append(
            f"in another way ({parity.checks[0].how}) it passes: its outputs depend on the padding or on the "
            "other texts of a batch"
        )
    return tuple(cause for cause in causes if cause)


def _special_tokens(parity: Parity, tokenizer: Any) -> str | None:
    special = list(tokenizer.all_special_tokens)
    found = [token for token in special if any(token in row.text for row in parity.named)]
    if not found:
        return None
    of, padding = _share(parity, lambda text: any(token in text for token in found)), tokenizer.pad_token
    return f"{of} a special token written out ({', '.join(map(shown, found))})" + (
        f"; {shown(padding)} is the pad token" if padding in found else ""
    )


def _cut(parity: Parity, trained: TrainedModel) -> str | None:
    tokenizer = Tokenizer.from_str(trained.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    of = _share(parity, lambda text: len(tokenizer.encode(text).ids) > trained.max_length)
    return None if of is None else f"{of} more than {trained.max_length} tokens, the rest of which is cut"


def _share(parity: Parity, holds: Callable[[str], bool]) -> str | None:
    """'2 of the 5 texts named have', or None if no text does."""
    number = sum(holds(row.text) for row in parity.named)
    verb = "has" if number == 1 else "have"
    return f"{number} of the {count(len(parity.named), 'text')} named {verb}" if number else None
