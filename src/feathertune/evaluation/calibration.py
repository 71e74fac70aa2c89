"""Calibration: whether probabilities mean what they say, and how logits become answers.

`expected_calibration_error` and `reliability_bins` describe; see `reliability` for what is claimed of what.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feathertune.evaluation.intervals import wilson_interval
from feathertune.evaluation.reliability import BINS, bin_of, calibration_residuals, claims


@dataclass(frozen=True)
class ReliabilityBin:
    """The examples whose probability lies in [lower, upper): one point of a reliability diagram.

    Attributes:
        lower, upper: the bin's ends; 1 belongs to the last.
        count: how many examples.
        claimed: their mean probability.
        observed: the share of them in which it came true, with its 95% interval `low` to `high` (Wilson's).
    """

    lower: float
    upper: float
    count: int
    claimed: float
    observed: float
    low: float
    high: float


def expected_calibration_error(labels_N: npt.NDArray[np.int64], probabilities_NC: npt.NDArray[np.float64]) -> float:
    """The mean over examples of their bin's |observed - claimed|, over 15 bins of equal width (Guo et al. 2017).

    With few examples it is above 0 even of perfect probabilities, since every bin's share varies.
    """
    return float(np.abs(calibration_residuals(labels_N, probabilities_NC).sum(axis=0)).sum() / len(labels_N))


def reliability_bins(
    labels_N: npt.NDArray[np.int64], probabilities_NC: npt.NDArray[np.float64]
) -> list[ReliabilityBin]:
    """The bins that hold an example, in order."""
    claimed_N, true_N = claims(labels_N, probabilities_NC)
    numbers_N, bins = bin_of(claimed_N), []
    for number in np.unique(numbers_N).tolist():
        inside_N = numbers_N == number
        count, true = int(inside_N.sum()), int(true_N[inside_N].sum())
        claimed = float(claimed_N[inside_N].mean())
        interval = wilson_interval(true, count)
        bins.append(ReliabilityBin(number / BINS, (number + 1) / BINS, count, claimed, true / count, *interval))
    return bins
