"""Logits for many texts: sorted by length, packed to a token budget, and returned in the order of the texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from feathertune.data.example import Split
from feathertune.errors import TextError
from feathertune.model.adapt import merged
from feathertune.model.classifier import PackedClassifier
from feathertune.prediction.predictions import Predictions
from feathertune.quantization.integer import has_integers
from feathertune.tokens.batch import TOKEN_MULTIPLE, pack
from feathertune.tokens.order import prediction_batches, unique_texts
from feathertune.tokens.tokenized import TokenizedTexts

# The last bits of attention's sums depend on the longest text of a batch, and near a tie a quantized model may turn a
# last bit into a visible step. So with integers only texts of similar length share a batch.
LENGTH_CLASS = 8
TOKEN_BUDGET = 1024  # tokens in a batch: enough for full-speed products, and buffers that malloc keeps (docs/LOG.md)
_WINDOW = 65_536  # texts sorted at a time: sorting more would pack no better and use more memory


def predict_logits(
    classifier: PackedClassifier, texts: TokenizedTexts, token_budget: int = TOKEN_BUDGET
) -> npt.NDArray[np.float32]:
    """[N, C] float32 logits, in the order of `texts`. The model is left unchanged.

    Among 65,536 neighbours nothing is computed twice: adapters are merged, equal texts are predicted once, and with
    causal models texts share the beginning that they have in common.
    """
    texts = texts.without_trailing(classifier.never_pooled)
    logits_NC = np.empty((len(texts), len(classifier.label_names)), dtype=np.float32)
    was_training = classifier.training
    if was_training:
        classifier.eval()
    try:
        with torch.inference_mode(), merged(classifier):
            for start in range(0, len(texts), _WINDOW):
                window = texts.window(start, min(start + _WINDOW, len(texts)))
                logits_NC[start : start + len(window)] = _predict_window(classifier, window, token_budget)
    finally:
        if was_training:
            classifier.train()
    return logits_NC


def _predict_window(classifier: PackedClassifier, texts: TokenizedTexts, token_budget: int) -> npt.NDArray[np.float32]:
    """[N, C] float32 logits of N texts, all sorted together."""
    logits_NC = np.empty((len(texts), len(classifier.label_names)), dtype=np.float32)
    device = next(classifier.parameters()).device
    unique, which_N = unique_texts(texts)
    causal, step = classifier.causal, LENGTH_CLASS if has_integers(classifier.model) else None
    for indices_B in prediction_batches(texts, unique, token_budget, alphabetical=causal, length_class=step):
        batch = pack(texts, indices_B, share_prefixes=causal, multiple=TOKEN_MULTIPLE, length_multiple=step or 1)
        logits_NC[indices_B] = classifier(batch.to(device)).cpu().numpy()
    return logits_NC[unique[which_N]]


def predict_split(classifier: PackedClassifier, split: Split, texts: TokenizedTexts) -> Predictions:
    """The classifier's predictions for a split, whose texts are already tokenized as `texts`.

    Raises:
        UserError: a logit is not finite, because the model diverged or its weights are damaged.
    """
    logits_NC = predict_logits(classifier, texts)
    check_logits(logits_NC, split.place)
    return Predictions.of_split(split, classifier.label_names, logits_NC)


def check_logits(logits_NC: npt.NDArray[np.float32], place: Callable[[int], str]) -> None:
    """Raise a TextError if a logit is NaN or infinite, naming the first text by `place`, which gets its index."""
    broken_N = ~np.isfinite(logits_NC).all(axis=1)
    if broken_N.any():
        first = int(broken_N.argmax())
        what = f"the model's logits are not finite for {int(broken_N.sum())} of {len(logits_NC)} texts"
        raise TextError(
            what,
            first,
            where=place(first),
            fix="If this happened in training, the run diverged: lower training.learning_rate. Otherwise the "
            "weights are damaged.",
            of_model=True,
        )
