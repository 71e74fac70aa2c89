"""Where a model errs: its most confident mistakes, its accuracy by kinds of texts, and labels that may be wrong.

`Predictions` go in; what errors-{split}.json of a run folder holds comes out. The predictions are of texts that the
model was not trained on, which is also what cleanlab's method asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from feathertune.prediction.predictions import Predictions
from feathertune.stats.intervals import NO_WIDTH, wilson_interval
from feathertune.stats.rater_ceiling import rater_ceiling

MAX_LISTED = 50
LENGTH_GROUPS = 6
RATING_GROUPS = 12  # up to so many different ratings stand for themselves
FIRST_WORDS = 20
MIN_WORD_COUNT = 5


def describe_errors(predictions: Predictions) -> dict[str, Any]:
    """JSON-ready: see the functions below for each part. Shares of 1; `low` to `high` are 95% intervals (Wilson's).

    `by_rating` and `ceiling` are None where there are no ratings, the ceiling also where they are not those of a panel
    that decided the labels (see `raters`).
    """
    right_N = predictions.predicted == predictions.labels
    rated_N, ratings_N = _ratings(predictions)
    ceiling = rater_ceiling(predictions.labels[rated_N], ratings_N) if rated_N.any() else None
    return {
        "split": predictions.split,
        "num_examples": len(predictions),
        "mistakes": int((~right_N).sum()),
        "confident_mistakes": confident_mistakes(predictions, right_N),
        "by_length": by_length(predictions.texts, right_N),
        "by_rating": by_rating(ratings_N, right_N[rated_N]) if rated_N.any() else None,
        "ceiling": None if ceiling is None else asdict(ceiling),
        "by_first_word": by_first_word(predictions.texts, right_N),
        "likely_label_errors": likely_label_errors(predictions),
    }


def confident_mistakes(predictions: Predictions, right_N: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """The wrong answers with the highest probability, at most 50, the most confident first."""
    wrong_N = np.flatnonzero(~right_N)
    predicted_N = predictions.predicted[wrong_N]
    probability_N = predictions.probabilities_NC[wrong_N, predicted_N]
    order_N = np.argsort(-probability_N, kind="stable")[:MAX_LISTED]
    return [
        _row(predictions, int(wrong_N[index]))
        | {"predicted": predictions.label_names[predicted_N[index]], "probability": float(probability_N[index])}
        for index in order_N.tolist()
    ]


def by_length(texts: Iterable[str], right_N: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Accuracy by the number of words (what white space separates), in up to six groups of about equal size."""
    words_N = np.array([len(text.split()) for text in texts], dtype=np.int64)
    edges = np.unique(np.quantile(words_N, np.linspace(0, 1, LENGTH_GROUPS + 1), method="closest_observation"))
    group_N = np.searchsorted(edges[1:-1], words_N, side="left") if len(edges) > 2 else np.zeros_like(words_N)

    def named(inside_N: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return {"from_words": int(words_N[inside_N].min()), "to_words": int(words_N[inside_N].max())}

    return _by_group(group_N, right_N, named)


def by_rating(ratings_N: npt.NDArray[np.float64], right_N: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Accuracy by rating: each by itself, or in ten groups of about equal size where there are many."""
    values, group_N = np.unique(ratings_N, return_inverse=True)
    if len(values) > RATING_GROUPS:
        group_N = np.searchsorted(np.quantile(ratings_N, np.linspace(0.1, 0.9, 9)), ratings_N, side="left")

    def named(inside_N: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return {"from_rating": float(ratings_N[inside_N].min()), "to_rating": float(ratings_N[inside_N].max())}

    return _by_group(group_N, right_N, named)


def by_first_word(texts: Iterable[str], right_N: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Accuracy by the first word, in lower case: the 20 most frequent that begin at least five texts."""
    words_N = np.array([(text.split() or [""])[0].lower() for text in texts], dtype=object)
    words, group_N, count_G = np.unique(words_N, return_inverse=True, return_counts=True)
    chosen = [index for index in np.argsort(-count_G, kind="stable").tolist() if count_G[index] >= MIN_WORD_COUNT]
    return [{"word": words[index], **_accuracy(right_N[group_N == index])} for index in chosen[:FIRST_WORDS]]


def likely_label_errors(predictions: Predictions) -> list[dict[str, Any]]:
    """Examples whose label is probably wrong, the worst first, at most 50: what a person should look at again.

    By confident learning (Northcutt, Jiang & Chuang, JAIR 2021; cleanlab): an example is listed where its label is
    given less than the probability that examples of that class usually get, and another class at least what its
    own get, for as many examples as the estimated noise says. `quality` is the probability of the given label. A model
    that says the same of every text, as the majority class does, accuses none.
    """
    probabilities_NC = predictions.probabilities_NC
    if len(np.unique(predictions.labels)) < 2 or np.ptp(probabilities_NC, axis=0).max() < NO_WIDTH:
        return []
    from cleanlab.filter import find_label_issues

    found = find_label_issues(
        predictions.labels, probabilities_NC, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    suggested_N = probabilities_NC.argmax(axis=1)
    return [
        _row(predictions, index)
        | {
            "suggested": predictions.label_names[suggested_N[index]],
            "quality": float(probabilities_NC[index, predictions.labels[index]]),
        }
        for index in found[:MAX_LISTED].tolist()
    ]


def _ratings(predictions: Predictions) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """[N] whether an example is rated, and the ratings of those that are, without the rounding of float32."""
    if predictions.ratings is None:
        return np.zeros(len(predictions), dtype=bool), np.zeros(0)
    rated_N = np.isfinite(predictions.ratings)
    return rated_N, np.round(predictions.ratings[rated_N], 6)


def _row(predictions: Predictions, index: int) -> dict[str, Any]:
    """Where an example stands in the source, its text, label and rating."""
    row = {
        "row": int(predictions.rows[index]),
        "text": predictions.texts[index],
        "label": predictions.label_names[predictions.labels[index]],
    }
    if predictions.ratings is not None and np.isfinite(predictions.ratings[index]):
        row["rating"] = float(predictions.ratings[index])
    return row


def _by_group(
    group_N: npt.NDArray[np.int64],
    right_N: npt.NDArray[np.bool_],
    named: Callable[[npt.NDArray[np.bool_]], dict[str, Any]],
) -> list[dict[str, Any]]:
    groups = [group_N == number for number in np.unique(group_N)]
    return [named(inside_N) | _accuracy(right_N[inside_N]) for inside_N in groups]


def _accuracy(right_N: npt.NDArray[np.bool_]) -> dict[str, Any]:
    right, count = int(right_N.sum()), len(right_N)
    low, high = wilson_interval(right, count)
    return {"count": count, "accuracy": right / count, "low": low, "high": high}
