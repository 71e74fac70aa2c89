"""The ceiling set by the raters' disagreement: how good any method can look on labels decided by a small panel.

**The model.** For each text a rater votes yes with probability p. Of a panel of n raters k vote yes, the rating is k/n,
and the label is positive where k is at least some number. The label is a measurement with an error of its own: another
panel of n would decide some texts differently. With the density of p over texts taken as Beta(a, b), k is
beta-binomial, so a and b follow from the ratings by maximum likelihood, and p given k is Beta(a + k, b + n - k)
(empirical Bayes: Robbins 1956; Griffiths, Biometrics 1973). Taking p = k/n instead would make every unanimous panel
infallible. For a text with k yes votes, and with P(p) the chance that a panel decides positive, it follows:

* **Another panel** decides positive with probability P(K' >= needed), K' being beta-binomial(n, a + k, b + n - k).
* **A single other rater** votes yes with the mean of p, (a + k) / (a + b + n).
* **The best possible** prediction is positive where P(p) >= 1/2, that is where p >= the median of
  Beta(needed, n - needed + 1). It agrees with the label with the probability that p is on the label's side of it. Its
  mean over texts is the accuracy of an oracle that knows p exactly, E max(P, 1 - P). Nothing that sees only the text
  can be expected to do better.

Where the label is negative, the chance of agreeing with it is 1 minus the probabilities of the first two.

The agreement of two raters needs no model: of the n (n - 1) pairs in a panel, k (k - 1) + (n - k) (n - k - 1) agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import beta, betabinom

MAX_RATERS = 20
MIN_PANEL_SHARE = 0.95  # of the ratings that are not unanimous: some texts may have had a panel of another size
TOLERANCE = 1e-3  # between a rating times n and a whole number: ratings on the Hub are float32


@dataclass(frozen=True)
class Rated:
    """The ceiling for the texts with one rating: shares of 1, see above."""

    rating: float
    count: int
    expected_count: float
    other_panel: float
    other_rater: float
    best_possible: float


@dataclass(frozen=True)
class Ceiling:
    """The ceiling for all texts: the means over texts of the values in `by_rating`.

    Attributes:
        raters: n.
        left_out: number of texts whose rating is not a share of n raters.
        needed: number of yes votes needed for a positive label.
        alpha, beta: parameters of the density of p. To see how well it fits, compare `count` and `expected_count` in
            `by_rating`.
        two_raters: how often two raters of a panel agree.
        other_rater, other_panel, best_possible: how often these agree with the labels.
        by_rating: an entry for each number of yes votes, 0 to n.
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
    """The ceiling implied by the labels (0 or 1) and ratings of N texts.

    None where the ratings are not shares of a panel of 2 to 20 raters, or did not decide the labels.
    """
    raters = _panel_size(ratings_N)
    if raters is None:
        return None
    used_N = _are_shares(ratings_N, raters)
    left_out, labels_N, ratings_N = int((~used_N).sum()), labels_N[used_N], ratings_N[used_N]
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
    """[K] chances of a positive decision -> chances of the label's own value."""
    return np.asarray(np.where(labelled_K, positive_K, 1 - positive_K), dtype=np.float64)


def _panel_size(ratings_N: npt.NDArray[np.float64]) -> int | None:
    """The smallest n for which nearly all ratings between 0 and 1 are shares of n; None where there is none."""
    between = ratings_N[(ratings_N > TOLERANCE) & (ratings_N < 1 - TOLERANCE)]
    if len(between) == 0 or ratings_N.min() < 0 or ratings_N.max() > 1:
        return None
    sizes = range(2, MAX_RATERS + 1)
    return next((raters for raters in sizes if _are_shares(between, raters).mean() >= MIN_PANEL_SHARE), None)


def _are_shares(ratings_N: npt.NDArray[np.float64], raters: int) -> npt.NDArray[np.bool_]:
    """[N]: whether a rating is a whole number of votes out of `raters`."""
    return np.asarray(np.abs(ratings_N * raters - np.rint(ratings_N * raters)) < TOLERANCE)


def _beta_binomial(count_K: npt.NDArray[np.int64], raters: int) -> tuple[float, float]:
    """The a and b under which the counts of 0 to n yes votes are most likely."""
    k = np.arange(raters + 1)

    def loss(log_ab: npt.NDArray[np.float64]) -> float:
        return float(-(count_K * betabinom.logpmf(k, raters, *np.exp(log_ab))).sum() / count_K.sum())

    a, b = np.exp(minimize(loss, np.zeros(2), bounds=[(-7, 7)] * 2, method="L-BFGS-B").x)
    return float(a), float(b)
