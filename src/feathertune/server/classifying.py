"""From the checked texts of a request to predictions: limits in tokens, what is too long, and the batcher."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from feathertune.errors import TextError, UserError
from feathertune.server.batching import Batcher
from feathertune.server.protocols import Explanation, LabelScore, Word
from feathertune.server.refusals import Refusal
from feathertune.server.settings import Settings
from feathertune.serving.predictor import Prediction, Predictor

_INLINE = 4096  # characters that are tokenized within a millisecond or so, in the event loop
# Letters and digits, with an apostrophe or hyphen between them.
_WORD = re.compile(r"\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}-]\w+)*")


class Answers(NamedTuple):
    """The predictions for the texts of a request, and how many tokens were read for them."""

    predictions: list[Prediction]
    tokens: int


class Classifier:
    """Answers requests."""

    def __init__(self, predictor: Predictor, batcher: Batcher, settings: Settings) -> None:
        self._predictor, self._batcher, self._settings = predictor, batcher, settings
        predictor.token_counts([])  # makes what counts, before another thread uses the model

    async def classify(self, texts: Sequence[str], field: str, *, truncate: bool) -> Answers:
        """Predict the texts, which the request has in `field`.

        Raises:
            Refusal: 413, there are too many texts or tokens, or a text is too long and must not be cut; 422, a text
                that this model cannot read; 424, the model is broken; 429, the queue is full.
        """
        if len(texts) > self._settings.max_texts:
            raise Refusal(413, f"{field}: {len(texts)} texts are more than the {self._settings.max_texts} allowed")
        counts = await self._counts(texts)
        if sum(counts) > self._settings.max_request_tokens:
            limit = self._settings.max_request_tokens
            raise Refusal(413, f"{field}: {sum(counts)} tokens are more than the {limit} allowed in a request")
        longest = self._predictor.max_length
        if longest is not None and not truncate and max(counts) > longest:
            which = next(index for index, count in enumerate(counts, 1) if count > longest)
            place = f"text {which}: " if len(texts) > 1 else ""
            sentence = f"{field}: {place}{counts[which - 1]} tokens are more than the {longest} that the model reads"
            raise Refusal(413, f"{sentence}; send a shorter text, or ask for it to be cut")
        read = counts if longest is None else [min(count, longest) for count in counts]
        try:
            return Answers(await self._batcher.predict(texts, read), sum(read))
        except TextError as error:
            if error.of_model:
                raise Refusal(424, error.what, "Backend") from None
            raise Refusal(422, f"{field}: {error.what}", "Tokenizer") from None
        except UserError as error:
            raise Refusal(422, f"{field}: {error.what}") from None

    async def _counts(self, texts: Sequence[str]) -> list[int]:
        if sum(map(len, texts)) <= _INLINE:
            return self._predictor.token_counts(texts)
        return await asyncio.to_thread(self._predictor.token_counts, texts)

    async def explain(self, text: str) -> Explanation:
        """Occlusion (Zeiler and Fergus 2014, arXiv:1311.2901): the text without each of its words.

        Raises:
            Refusal: as `classify`; and 422, if nothing would be left of the text without one of its words.
        """
        words = list(_WORD.finditer(text))
        without = [text[: word.start()] + text[word.end() :] for word in words]
        if not words or not all(rest.strip() for rest in without):
            raise Refusal(422, "text: it must have two words at least, since each is left out once")
        predictions, _ = await self.classify([text, *without], "text", truncate=True)
        label, score = predictions[0].label, predictions[0].score
        weighed = [
            Word(word=word.group(), start=word.start(), end=word.end(), weight=score - other.probabilities[label])
            for word, other in zip(words, predictions[1:], strict=True)
        ]
        return Explanation(label=label, score=score, words=weighed)


def scores(prediction: Prediction, function: str = "softmax", top: int | None = None) -> list[LabelScore]:
    """The labels with their scores, highest first.

    Args:
        prediction: of one text.
        function: `softmax` for the calibrated probabilities, `none` for the logits, `sigmoid` for that of each logit.
        top: how many to give; None: all.
    """
    values: Sequence[float] = tuple(prediction.probabilities.values()) if function == "softmax" else prediction.logits
    if function == "sigmoid":
        values = [0.5 * (1 + math.tanh(logit / 2)) for logit in values]
    pairs = sorted(zip(prediction.probabilities, values, strict=True), key=lambda pair: -pair[1])
    return [LabelScore(label=label, score=value) for label, value in pairs[:top]]
