"""The points of a reliability diagram: for each bin of probabilities, the mean probability and the observed share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feathertune.stats.calibration_error import BINS, bin_of, confidences
from feathertune.stats.intervals import wilson_interval


@dataclass(frozen=True)
class ReliabilityBin:
    """One point of a reliability diagram: the examples whose probability lies in [lower, upper).

    Attributes:
        lower, upper: the ends of the bin; a probability of 1 belongs to the last one.
        count: number of examples.
        claimed: their mean probability.
        observed: the share of them for which it came true, with its 95% interval `low` to `high` (Wilson's).
    """

    lower: float
    upper: float
    count: int
    claimed: float
    observed: float
    low: float
    high: float


def reliability_bins(
    labels_N: npt.NDArray[np.int64], probabilities_NC: npt.NDArray[np.float64]
) -> list[ReliabilityBin]:
    """The bins that contain examples, in order."""
    claimed_N, true_N = confidences(labels_N, probabilities_NC)
    bin_N, bins = bin_of(claimed_N), []
    for number in np.unique(bin_N).tolist():
        inside_N = bin_N == number
        count, true = int(inside_N.sum()), int(true_N[inside_N].sum())
        claimed = float(claimed_N[inside_N].mean())
        interval = wilson_interval(true, count)
        bins.append(ReliabilityBin(number / BINS, (number + 1) / BINS, count, claimed, true / count, *interval))
    return bins
