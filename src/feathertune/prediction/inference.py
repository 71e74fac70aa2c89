"""Logits for many texts: sorted by length, packed to a token budget, and returned in the order of the texts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from feathertune.data.example import Split
from feathertune.model.adapt import merged
from feathertune.model.classifier import PackedClassifier
from feathertune.prediction.finite import check_logits
from feathertune.prediction.predictions import Predictions
from feathertune.quantization.integer import has_integers
from feathertune.tokens.batch import TOKEN_MULTIPLE, pack
from feathertune.tokens.order import prediction_batches, unique_texts
from feathertune.tokens.tokenized import TokenizedTexts

# The last bits of attention's sums depend on the longest text of a batch, and near a tie a quantized model may turn a
# last bit into a visible step. So with integers only texts of similar length share a batch.
LENGTH_CLASS = 8
# Matrix kernels sum a row in another order if there are fewer rows than this for each thread: measured with MKL and
# oneDNN, whose limit is 4 (docs/LOG.md).
_ROWS_PER_THREAD = 8
TOKEN_BUDGET = 1024  # tokens in a batch: enough for full-speed products, and buffers that malloc keeps (docs/LOG.md)
_WINDOW = 65_536  # texts sorted at a time: sorting more would pack no better and use more memory


def predict_logits(
    classifier: PackedClassifier, texts: TokenizedTexts, token_budget: int = TOKEN_BUDGET, *, independent: bool = False
) -> npt.NDArray[np.float32]:
    """[N, C] float32 logits, in the order of `texts`. The model is left unchanged.

    With `independent`, the logits of a text are the same to the last bit whatever the other texts are: only texts of
    similar length share a batch, and a batch of few texts is filled up with texts of one token. Otherwise they are the
    same up to rounding.

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
                logits_NC[start : start + len(window)] = _predict_window(
                    classifier, window, token_budget, independent=independent
                )
    finally:
        if was_training:
            classifier.train()
    return logits_NC


def _predict_window(
    classifier: PackedClassifier, texts: TokenizedTexts, token_budget: int, *, independent: bool
) -> npt.NDArray[np.float32]:
    """[N, C] float32 logits of N texts, all sorted together."""
    logits_NC = np.empty((len(texts), len(classifier.label_names)), dtype=np.float32)
    device = next(classifier.parameters()).device
    unique, which_N = unique_texts(texts)
    causal = classifier.causal
    step = LENGTH_CLASS if independent or has_integers(classifier.model) else None
    least = _ROWS_PER_THREAD * torch.get_num_threads() if independent else 1
    packed = _with_filler(texts) if independent else texts
    for indices_B in prediction_batches(texts, unique, token_budget, alphabetical=causal, length_class=step):
        filled_B = np.pad(indices_B, (0, max(0, least - len(indices_B))), constant_values=len(texts))
        batch = pack(packed, filled_B, share_prefixes=causal, multiple=TOKEN_MULTIPLE, length_multiple=step or 1)
        logits_NC[indices_B] = classifier(batch.to(device)).cpu().numpy()[: len(indices_B)]
    return logits_NC[unique[which_N]]


def _with_filler(texts: TokenizedTexts) -> TokenizedTexts:
    """The texts and, as the last one, the first token of the first of them."""
    begin, end = int(texts.offsets[0]), int(texts.offsets[-1])
    offsets = np.append(texts.offsets - begin, end - begin + 1)
    return TokenizedTexts(np.append(texts.ids[begin:end], texts.ids[begin]), offsets)


def predict_split(classifier: PackedClassifier, split: Split, texts: TokenizedTexts) -> Predictions:
    """The classifier's predictions for a split, whose texts are already tokenized as `texts`.

    Raises:
        UserError: a logit is not finite, because the model diverged or its weights are damaged.
    """
    logits_NC = predict_logits(classifier, texts)
    check_logits(logits_NC, split.place)
    return Predictions.of_split(split, classifier.label_names, logits_NC)
