"""What the raters' own disagreement implies: how good any method can look on labels that a small panel decided.

**The model.** Each text has a probability p that a rater says yes to it. A panel of n raters is asked; k say yes, the
rating is k/n, and the label is positive where k is at least some number. The label is a measurement with an error of
its own: another panel of n would decide some texts otherwise. With the density of p over texts taken as Beta(a, b),
k is beta-binomial, so a and b follow from the ratings by maximum likelihood, and p given k is Beta(a + k, b + n - k)
(empirical Bayes: Robbins 1956; Griffiths, Biometrics 1973). Taking p = k/n instead would make every unanimous panel
infallible. From that follow, for a text whose panel gave k, with P(p) the chance that a panel decides positive:

* **another panel** decides the same with probability P(K' >= needed), K' beta-binomial(n, a + k, b + n - k), or with
  one less that;
* **a single other rater** agrees with the label with the mean of p, (a + k) / (a + b + n), or with one less that;
* **the best possible** answer is positive where P(p) >= 1/2, that is p >= the median of Beta(needed, n - needed + 1);
  it agrees with the label with p's probability on the label's side of that. Its mean over texts is the accuracy of one
  who knows p exactly: E max(P, 1 - P). Nothing that sees only the text can be expected to do better.

The agreement of two raters needs no model: of the pairs in a panel, k (k - 1) + (n - k) (n - k - 1) of n (n - 1) agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import beta, betabinom

MAX_RATERS = 20
MAX_PANELS = 0.95  # of the ratings that are not unanimous: some texts may have had a panel of another size
TOLERANCE = 1e-3  # of a rating times n from a whole number: the Hub's are float32


@dataclass(frozen=True)
class Rated:
    """What holds of the texts with one rating: shares of 1, see above."""

    rating: float
    count: int
    expected_count: float
    other_panel: float
    other_rater: float
    best_possible: float


@dataclass(frozen=True)
class Ceiling:
    """What holds of all texts: the means, by count, of `by_rating`'s.

    Attributes:
        raters: n.
        left_out: texts whose rating is no share of n raters.
        needed: that must say yes for a positive label.
        alpha, beta: of the density of p. How well it fits: `count` beside `expected_count` in `by_rating`.
        two_raters: how often two raters of a panel agree.
        other_rater, other_panel, best_possible: how often these agree with the labels.
        by_rating: an entry for each number of raters who said yes, 0 to n.
    """

    raters: int
    left_out: int
    needed: int
    alpha: float
    beta: float
    two_raters: float
    other_rater: float
    other_panel: float
    best_possible: float
    by_rating: tuple[Rated, ...]


def rater_ceiling(labels_N: npt.NDArray[np.int64], ratings_N: npt.NDArray[np.float64]) -> Ceiling | None:
    """What labels (0 or 1) and ratings of N texts imply.

    None where the ratings are no shares of a panel of 2 to 20, or not what the labels were decided by.
    """
    raters = _panel_size(ratings_N)
    if raters is None:
        return None
    shared_N = _shares(ratings_N, raters)
    left_out, labels_N, ratings_N = int((~shared_N).sum()), labels_N[shared_N], ratings_N[shared_N]
    yes_N = np.rint(ratings_N * raters).astype(np.int64)
    positive_N = labels_N == 1
    if not positive_N.any() or positive_N.all() or yes_N[positive_N].min() <= yes_N[~positive_N].max():
        return None
    needed = int(yes_N[positive_N].min())
    count_K = np.bincount(yes_N, minlength=raters + 1)
    a, b = _beta_binomial(count_K, raters)
    k = np.arange(raters + 1)
    positive_K = k >= needed
    other_panel_K = _agreeing(betabinom.sf(needed - 1, raters, a + k, b + raters - k), positive_K)
    other_rater_K = _agreeing((a + k) / (a + b + raters), positive_K)
    even = beta.ppf(0.5, needed, raters - needed + 1)
    best_K = _agreeing(beta.sf(even, a + k, b + raters - k), positive_K)
    expected_K = betabinom.pmf(k, raters, a, b) * len(labels_N)
    pairs_K = (k * (k - 1) + (raters - k) * (raters - k - 1)) / (raters * (raters - 1))

    def mean(of_K: npt.NDArray[np.float64]) -> float:
        return float((count_K * of_K).sum() / count_K.sum())

    by_rating = zip(count_K, expected_K, other_panel_K, other_rater_K, best_K, strict=True)
    return Ceiling(
        raters,
        left_out,
        needed,
        a,
        b,
        mean(pairs_K),
        mean(other_rater_K),
        mean(other_panel_K),
        mean(best_K),
        tuple(Rated(yes / raters, int(count), *map(float, rest)) for yes, (count, *rest) in enumerate(by_rating)),
    )


def _agreeing(positive_K: npt.NDArray[np.floating[Any]], labelled_K: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """[K] chances of a positive answer -> of the label's own."""
    return np.asarray(np.where(labelled_K, positive_K, 1 - positive_K), dtype=np.float64)


def _panel_size(ratings_N: npt.NDArray[np.float64]) -> int | None:
    """The smallest n of which nearly all ratings between 0 and 1 are shares; None where there are none of them."""
    between = ratings_N[(ratings_N > TOLERANCE) & (ratings_N < 1 - TOLERANCE)]
    if len(between) == 0 or ratings_N.min() < 0 or ratings_N.max() > 1:
        return None
    sizes = range(2, MAX_RATERS + 1)
    return next((raters for raters in sizes if _shares(between, raters).mean() >= MAX_PANELS), None)


def _shares(ratings_N: npt.NDArray[np.float64], raters: int) -> npt.NDArray[np.bool_]:
    """[N]: whether a rating is a whole number of `raters` raters."""
    return np.asarray(np.abs(ratings_N * raters - np.rint(ratings_N * raters)) < TOLERANCE)


def _beta_binomial(count_K: npt.NDArray[np.int64], raters: int) -> tuple[float, float]:
    """The a and b that make the counts of 0 to n likeliest."""
    k = np.arange(raters + 1)

    def loss(logarithms: npt.NDArray[np.float64]) -> float:
        return float(-(count_K * betabinom.logpmf(k, raters, *np.exp(logarithms))).sum() / count_K.sum())

    found = minimize(loss, np.zeros(2), bounds=[(-7, 7)] * 2, method="L-BFGS-B")
    a, b = np.exp(found.x)
    return float(a), float(b)
