"""The bag of words: a logistic regression on TF-IDF weights of words and pairs of neighbouring words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.baselines.baseline import Floats

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # scikit-learn's C, the inverse of the regularization
FOLDS = 5
MAX_PHRASE = 2  # words; pairs of neighbours capture a little of the word order
WORD = r"(?u)\w+|[^\w\s]"  # a word or a punctuation mark: a question mark tells a lot about a query


@dataclass(frozen=True)
class BagOfWordsBaseline:
    """Logistic regression on a text's words, weighted by TF-IDF; it ignores any order beyond neighbours.

    Attributes:
        label_names: C classes.
        vocabulary: V words, punctuation marks and pairs of neighbours.
        idf_V: the inverse document frequency of each in train.
        weights_KV, bias_K: of the regression; K is 1 for two classes, else C.
        strength: scikit-learn's C, chosen by cross-validation.
    """

    label_names: tuple[str, ...]
    vocabulary: tuple[str, ...]
    idf_V: Floats
    weights_KV: Floats
    bias_K: Floats
    strength: float

    @classmethod
    def fit(
        cls, texts: Sequence[str], labels_N: npt.NDArray[np.int64], label_names: tuple[str, ...], seed: int
    ) -> BagOfWordsBaseline:
        """Fit to N training texts, with the strength that has the lowest log loss in cross-validation on them."""
        strength = choose_strength(texts, labels_N, len(label_names), seed)
        vectorizer = _vectorizer()
        model = _regression(strength).fit(vectorizer.fit_transform(texts), labels_N)
        weights_KV, bias_K = np.asarray(model.coef_), np.asarray(model.intercept_)
        if len(label_names) > 2:  # a class without training examples is never predicted
            weights_KV, bias_K = _for_all_classes(weights_KV, bias_K, model.classes_, len(label_names))
        vocabulary = tuple(vectorizer.get_feature_names_out().tolist())
        return cls(label_names, vocabulary, np.asarray(vectorizer.idf_), weights_KV, bias_K, strength)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """See `Baseline`."""
        from scipy.special import expit, softmax

        scores_NK = np.asarray(self._vectors.transform(texts) @ self.weights_KV.T) + self.bias_K
        if len(self.label_names) > 2:
            return np.asarray(softmax(scores_NK, axis=1))
        positive_N = expit(scores_NK[:, 0])
        return np.stack([1 - positive_N, positive_N], axis=1)

    def to_json(self) -> dict[str, Any]:
        """See `Baseline`. Each word comes with its weights, so that a person can read what matters."""
        return {
            "label_names": list(self.label_names),
            "strength": self.strength,
            "bias": self.bias_K.tolist(),
            "words": {
                word: [float(idf), *weights_K]
                for word, idf, weights_K in zip(self.vocabulary, self.idf_V, self.weights_KV.T.tolist(), strict=True)
            },
        }

    @property
    def trained_numbers(self) -> int:
        """Weights and biases."""
        return self.weights_KV.size + self.bias_K.size

    @cached_property
    def _vectors(self) -> Any:
        vectorizer = _vectorizer(self.vocabulary)
        vectorizer.idf_ = self.idf_V
        return vectorizer


def choose_strength(texts: Sequence[str], labels_N: npt.NDArray[np.int64], num_classes: int, seed: int) -> float:
    """The one of STRENGTHS with the lowest log loss in stratified cross-validation; each fold has its own vocabulary.

    Where a class has fewer than FOLDS examples, that is the number of folds; with a single example, C is 1.
    """
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    counts_C = np.bincount(labels_N, minlength=num_classes)
    folds = min(FOLDS, int(counts_C[counts_C > 0].min()))
    if folds < 2:
        return 1.0
    texts_N, present = np.array(texts, dtype=object), np.flatnonzero(counts_C)
    losses = np.zeros(len(STRENGTHS))
    for fit, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(texts_N, labels_N):
        vectorizer = _vectorizer()
        fit_vectors = vectorizer.fit_transform(texts_N[fit])
        held_out_vectors = vectorizer.transform(texts_N[held_out])
        for index, strength in enumerate(STRENGTHS):
            model = _regression(strength).fit(fit_vectors, labels_N[fit])
            probabilities_NC = model.predict_proba(held_out_vectors)
            losses[index] += log_loss(labels_N[held_out], probabilities_NC, labels=present) * len(held_out)
    return STRENGTHS[int(losses.argmin())]


def _for_all_classes(
    weights_KV: Floats, bias_K: Floats, present: npt.NDArray[np.int64], count: int
) -> tuple[Floats, Floats]:
    """One row for each class; an absent one gets a score that is never the highest."""
    if len(present) == 2:  # the regression has a single row, for the second class against the first
        weights_KV, bias_K = np.stack([0 * weights_KV[0], weights_KV[0]]), np.array([0.0, bias_K[0]])
    all_weights, all_bias = np.zeros((count, weights_KV.shape[1])), np.full(count, -1e9)
    all_weights[present], all_bias[present] = weights_KV, bias_K
    return all_weights, all_bias


def _vectorizer(vocabulary: tuple[str, ...] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=WORD, ngram_range=(1, MAX_PHRASE), sublinear_tf=True, vocabulary=vocabulary)


def _regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000)
