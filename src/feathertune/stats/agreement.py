"""How far annotators agree: Krippendorff's alpha for nominal labels, with a 95% interval.

Alpha is 1 - D_o / D_e: the observed disagreement of pairs of labels within texts over the one expected if labels were
dealt to texts at random. 1 is perfect agreement, 0 what chance gives; below 0.667 Krippendorff draws no conclusions.
Any number of annotators and missing labels are allowed, and texts with a single label say nothing. K. Krippendorff,
Content Analysis (2004), chapter 11; Computing Krippendorff's Alpha-Reliability (2011). The interval resamples texts
(BCa).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feathertune.stats.intervals import RESAMPLES, acceleration, bca_interval
from feathertune.stats.resampling import Floats, Weights, bootstrap_weights, jackknife_weights

MIN_RESAMPLES = 200
_DRAWS = 40_000_000  # texts drawn in all resamples; with more than 20,000 texts there are fewer resamples


@dataclass(frozen=True)
class Agreement:
    """The agreement of annotators.

    Attributes:
        alpha: Krippendorff's; None where all labels are the same, so that agreement cannot be told from chance.
        interval: at 95%; None where resampling changes nothing.
        items: number of texts with two labels or more.
        annotators: the most labels that one text has.
    """

    alpha: float | None
    interval: tuple[float, float] | None
    items: int
    annotators: int


def agreement(votes_NC: npt.NDArray[np.int64], *, seed: int = 0, resamples: int = RESAMPLES) -> Agreement | None:
    """The agreement on N texts, of which `votes_NC` says how many annotators gave each of C labels.

    None where no text has two labels. The same votes and seed give the same numbers.
    """
    votes_MC = votes_NC[votes_NC.sum(axis=1) > 1]
    if not len(votes_MC):
        return None
    values_M1 = votes_MC.sum(axis=1, keepdims=True).astype(np.float64)
    # of the ordered pairs of labels in a text those that differ, divided so that each label counts once
    differing_M = (votes_MC * (values_M1 - votes_MC) / (values_M1 - 1)).sum(axis=1)

    def alphas(weights_BM: Weights) -> Floats:
        """[B, M] weights -> [B] values of alpha; NaN where all labels are the same."""
        of_label_BC = weights_BM.astype(np.float64) @ votes_MC
        total_B = of_label_BC.sum(axis=1)
        expected_B = total_B**2 - (of_label_BC**2).sum(axis=1)
        observed_B = (weights_BM @ differing_M) * (total_B - 1)
        ratio_B = np.divide(observed_B, expected_B, out=np.full(len(total_B), np.nan), where=expected_B > 0)
        return np.asarray(1 - ratio_B)

    count = len(votes_MC)
    estimate = float(alphas(np.ones((1, count), dtype=np.float32))[0])
    rng = np.random.default_rng(seed)
    left_out = np.concatenate([alphas(weights) for weights in jackknife_weights(count, rng)])
    number = min(resamples, max(MIN_RESAMPLES, _DRAWS // count))
    drawn = np.concatenate([alphas(weights) for weights in bootstrap_weights(count, number, rng)])
    known = np.isfinite(estimate)
    interval = bca_interval(estimate, drawn, acceleration(left_out)) if known and count > 1 else None
    return Agreement(estimate if known else None, interval, count, int(values_M1.max()))
