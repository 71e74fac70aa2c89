"""Where a model errs: its most confident mistakes, its accuracy by kind of text, and labels that may be wrong.

`Predictions` go in, an `ErrorAnalysis` comes out. The texts must not have been trained on; cleanlab's method requires
that as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import asdict
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from feathertune.folders.evaluation import (
    CeilingRecord,
    ErrorAnalysis,
    FirstWordGroup,
    LabelError,
    LengthGroup,
    Mistake,
    RatingGroup,
)
from feathertune.prediction.predictions import Predictions
from feathertune.stats.intervals import NO_WIDTH, wilson_interval
from feathertune.stats.rater_ceiling import rater_ceiling

MAX_LISTED = 50
MAX_LENGTH_GROUPS = 6
MAX_SINGLE_RATINGS = 12  # up to so many different ratings get a group each
MAX_FIRST_WORDS = 20
MIN_WORD_COUNT = 5


class _Listed(TypedDict, total=False):
    """The fields of a `ListedExample`; `rating` only where there is one."""

    row: int
    text: str
    label: str
    rating: float


class _Accuracy(TypedDict):
    """The fields of a `GroupAccuracy`."""

    count: int
    accuracy: float
    low: float
    high: float


def analyze_errors(predictions: Predictions) -> ErrorAnalysis:
    """The content of errors-{split}.json; see the functions below for each part. Intervals are 95% (Wilson's).

    `by_rating` and `ceiling` are None where there are no ratings, the ceiling also where they are not those of a panel
    that decided the labels (see `stats.rater_ceiling`).
    """
    right_N = predictions.predicted == predictions.labels
    rated_N, ratings_N = _ratings(predictions)
    ceiling = rater_ceiling(predictions.labels[rated_N], ratings_N) if rated_N.any() else None
    return ErrorAnalysis(
        split=predictions.split,
        num_examples=len(predictions),
        mistakes=int((~right_N).sum()),
        confident_mistakes=tuple(confident_mistakes(predictions, right_N)),
        by_length=tuple(by_length(predictions.texts, right_N)),
        by_rating=tuple(by_rating(ratings_N, right_N[rated_N])) if rated_N.any() else None,
        ceiling=None if ceiling is None else CeilingRecord(**asdict(ceiling)),
        by_first_word=tuple(by_first_word(predictions.texts, right_N)),
        likely_label_errors=tuple(likely_label_errors(predictions)),
    )


def confident_mistakes(predictions: Predictions, right_N: npt.NDArray[np.bool_]) -> list[Mistake]:
    """The wrong predictions with the highest probability, at most 50, the most confident first."""
    wrong_N = np.flatnonzero(~right_N)
    predicted_N = predictions.predicted[wrong_N]
    probability_N = predictions.probabilities_NC[wrong_N, predicted_N]
    order_N = np.argsort(-probability_N, kind="stable")[:MAX_LISTED]
    return [
        Mistake(
            **_listed(predictions, int(wrong_N[index])),
            predicted=predictions.label_names[predicted_N[index]],
            probability=float(probability_N[index]),
        )
        for index in order_N.tolist()
    ]


def by_length(texts: Iterable[str], right_N: npt.NDArray[np.bool_]) -> list[LengthGroup]:
    """Accuracy by the number of words (separated by white space), in up to six groups of about equal size."""
    words_N = np.array([len(text.split()) for text in texts], dtype=np.int64)
    edges = np.unique(np.quantile(words_N, np.linspace(0, 1, MAX_LENGTH_GROUPS + 1), method="closest_observation"))
    group_N = np.searchsorted(edges[1:-1], words_N, side="left") if len(edges) > 2 else np.zeros_like(words_N)
    return [
        LengthGroup(
            **_accuracy(right_N[inside_N]),
            from_words=int(words_N[inside_N].min()),
            to_words=int(words_N[inside_N].max()),
        )
        for inside_N in _groups(group_N)
    ]


def by_rating(ratings_N: npt.NDArray[np.float64], right_N: npt.NDArray[np.bool_]) -> list[RatingGroup]:
    """Accuracy by rating: a group for each, or ten groups of about equal size where there are many ratings."""
    ratings, group_N = np.unique(ratings_N, return_inverse=True)
    if len(ratings) > MAX_SINGLE_RATINGS:
        group_N = np.searchsorted(np.quantile(ratings_N, np.linspace(0.1, 0.9, 9)), ratings_N, side="left")
    return [
        RatingGroup(
            **_accuracy(right_N[inside_N]),
            from_rating=float(ratings_N[inside_N].min()),
            to_rating=float(ratings_N[inside_N].max()),
        )
        for inside_N in _groups(group_N)
    ]


def by_first_word(texts: Iterable[str], right_N: npt.NDArray[np.bool_]) -> list[FirstWordGroup]:
    """Accuracy by the first word, in lower case: the 20 most frequent ones that begin at least five texts."""
    words_N = np.array([(text.split() or [""])[0].lower() for text in texts], dtype=object)
    words, group_N, count_G = np.unique(words_N, return_inverse=True, return_counts=True)
    frequent = [index for index in np.argsort(-count_G, kind="stable").tolist() if count_G[index] >= MIN_WORD_COUNT]
    return [
        FirstWordGroup(**_accuracy(right_N[group_N == index]), word=words[index])
        for index in frequent[:MAX_FIRST_WORDS]
    ]


def likely_label_errors(predictions: Predictions) -> list[LabelError]:
    """Examples whose label is probably wrong, the worst first, at most 50: the ones that a person should check.

    By confident learning (Northcutt, Jiang & Chuang, JAIR 2021; cleanlab): an example is listed where its own label
    gets less than the probability that is usual for that class, and another class at least its usual one; how many are
    listed follows from the estimated noise. `quality` is the probability of the given label. A model that predicts the
    same for every text, as the majority class does, gives no reason to doubt a label.
    """
    probabilities_NC = predictions.probabilities_NC
    if len(np.unique(predictions.labels)) < 2 or np.ptp(probabilities_NC, axis=0).max() < NO_WIDTH:
        return []
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():  # it warns of every class with fewer than two examples
        warnings.filterwarnings("ignore", message="May not flag all label issues", category=UserWarning)
        issues = find_label_issues(
            predictions.labels, probabilities_NC, return_indices_ranked_by="self_confidence", n_jobs=1
        )
    suggested_N = probabilities_NC.argmax(axis=1)
    return [
        LabelError(
            **_listed(predictions, index),
            suggested=predictions.label_names[suggested_N[index]],
            quality=float(probabilities_NC[index, predictions.labels[index]]),
        )
        for index in issues[:MAX_LISTED].tolist()
    ]


def _ratings(predictions: Predictions) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """[N] whether an example is rated, and the ratings of those that are, without the rounding of float32."""
    if predictions.ratings is None:
        return np.zeros(len(predictions), dtype=bool), np.zeros(0)
    rated_N = np.isfinite(predictions.ratings)
    return rated_N, np.round(predictions.ratings[rated_N], 6)


def _listed(predictions: Predictions, index: int) -> _Listed:
    """An example's row in the source, its text, label and rating."""
    fields = _Listed(
        row=int(predictions.rows[index]),
        text=predictions.texts[index],
        label=predictions.label_names[predictions.labels[index]],
    )
    if predictions.ratings is not None and np.isfinite(predictions.ratings[index]):
        fields["rating"] = float(predictions.ratings[index])
    return fields


def _groups(group_N: npt.NDArray[np.int64]) -> list[npt.NDArray[np.bool_]]:
    """[N] for each group that occurs, in order: whether an example is in it."""
    return [group_N == number for number in np.unique(group_N)]


def _accuracy(right_N: npt.NDArray[np.bool_]) -> _Accuracy:
    right, count = int(right_N.sum()), len(right_N)
    low, high = wilson_interval(right, count)
    return _Accuracy(count=count, accuracy=right / count, low=low, high=high)
