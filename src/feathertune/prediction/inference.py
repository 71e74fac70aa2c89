"""Logits for many texts: sorted by length and packed to a token budget, handed back in the texts' order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from feathertune.data.example import Split
from feathertune.errors import UserError
from feathertune.model.adapt import merged
from feathertune.model.classifier import PackedClassifier
from feathertune.prediction.predictions import Predictions
from feathertune.quantization.integer import has_integers
from feathertune.tokens.batch import TOKEN_MULTIPLE, pack
from feathertune.tokens.order import distinct, prediction_batches
from feathertune.tokens.tokenized import TokenizedTexts

# Attention's sums depend in their last bits on how long the longest text of a batch is, and a quantized model may turn
# the last bit of a tie into a visible step. So there only texts of like length share a batch, and L depends on these.
LENGTH_CLASS = 8
TOKEN_BUDGET = 1024  # tokens in a batch: enough for full-speed products, and buffers that malloc keeps (docs/LOG.md)
_WINDOW = 65_536  # texts sorted at a time: sorting more packs no better, and would take memory for each of them


def predict_logits(
    classifier: PackedClassifier, texts: TokenizedTexts, token_budget: int = TOKEN_BUDGET
) -> npt.NDArray[np.float32]:
    """[N, C] float32 logits, in the order of `texts`. The model is left as it was.

    Nothing is computed twice among 65,536 neighbours: adapters are merged, equal texts are one, and causal models share
    what texts begin with.
    """
    logits_NC = np.empty((len(texts), len(classifier.label_names)), dtype=np.float32)
    was_training = classifier.training
    if was_training:
        classifier.eval()
    try:
        with torch.inference_mode(), merged(classifier):
            for begin in range(0, len(texts), _WINDOW):
                window = texts.window(begin, min(begin + _WINDOW, len(texts)))
                logits_NC[begin : begin + len(window)] = _predict_window(classifier, window, token_budget)
    finally:
        if was_training:
            classifier.train()
    return logits_NC


def _predict_window(classifier: PackedClassifier, texts: TokenizedTexts, token_budget: int) -> npt.NDArray[np.float32]:
    """[N, C] float32 logits of N texts, all sorted together."""
    logits_NC = np.empty((len(texts), len(classifier.label_names)), dtype=np.float32)
    device = next(classifier.parameters()).device
    chosen, which = distinct(texts)
    causal, step = classifier.causal, LENGTH_CLASS if has_integers(classifier.model) else None
    for indices_B in prediction_batches(texts, chosen, token_budget, alphabetical=causal, length_class=step):
        batch = pack(texts, indices_B, share_prefixes=causal, multiple=TOKEN_MULTIPLE, length_multiple=step or 1)
        logits_NC[indices_B] = classifier(batch.to(device)).cpu().numpy()
    return logits_NC[chosen[which]]


def predict_split(classifier: PackedClassifier, split: Split, texts: TokenizedTexts) -> Predictions:
    """The classifier's answers for a split, whose texts are already tokenized as `texts`.

    Raises:
        UserError: an answer is not a finite number, which a model that diverged, or broken weights, give.
    """
    logits_NC = predict_logits(classifier, texts)
    broken_N = ~np.isfinite(logits_NC).all(axis=1)
    if broken_N.any():
        raise UserError(
            f"the model's answers are not finite for {int(broken_N.sum())} of {len(split)} texts",
            where=split.place(int(broken_N.argmax())),
            fix="If this came in training, it diverged: lower training.learning_rate. Else the weights are broken.",
        )
    return Predictions.of_split(split, classifier.label_names, logits_NC)
