"""A method trained with several seeds: its predictions, and how a metric varies with examples and with seeds.

Letters: S seeds, N examples, C classes, B resamples of the examples.

**Two levels.** A method's value is the mean over its seeds. It varies with the examples, which resampling them shows
(all seeds at once on the same resample), and with the seeds. There are only three to five seeds, and resampling so few
makes intervals too narrow: for three seeds by a fifth because of the variance alone, and by more because the variance
is only estimated. So the seeds' part is drawn from Student's t with the spread of the seeds, as for any mean of few
numbers. What the choice of examples adds to that spread is subtracted, since the first level contains it already. With
V1 the variance over resamples of the mean over seeds, and V2 the mean over seeds of each one's variance over resamples,
the part of a seed's variance that comes from examples and seed together is (V2 - V1) S / (S - 1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feathertune.stats.probabilities import decide
from feathertune.stats.resampling import Floats, Statistics, Weights, bootstrap_weights, statistics_of


@dataclass(frozen=True, eq=False)
class SeedPredictions:
    """The predictions for N examples by one method, trained with S seeds.

    Attributes:
        label_N: [N] int64, the true classes.
        probability_SNC: [S, N, C] float64, by seed.
        predicted_SN: [S, N] int64, the predicted classes; None where they follow by `decide` at 0.5.
    """

    label_N: npt.NDArray[np.int64]
    probability_SNC: npt.NDArray[np.float64]
    predicted_SN: npt.NDArray[np.int64] | None = None

    @property
    def seeds(self) -> int:
        """S."""
        return len(self.probability_SNC)

    def predicted(self, seed: int) -> npt.NDArray[np.int64]:
        """[N]: the classes predicted by run number `seed`."""
        return decide(self.probability_SNC[seed]) if self.predicted_SN is None else self.predicted_SN[seed]

    def statistics(self, names: Collection[str]) -> list[Statistics]:
        """For each seed, the metrics as functions of example weights."""
        return [
            statistics_of(self.label_N, self.predicted(seed), probability_NC, names)
            for seed, probability_NC in enumerate(self.probability_SNC)
        ]


@dataclass(frozen=True, eq=False)
class Levels:
    """What two-level intervals are computed from.

    Attributes:
        values: each method's mean over its seeds.
        means_B: for each method, [B] means over its seeds on each resample of the examples.
        seed_noise_B: [B] draws of what other seeds would have added, for all methods together.
        seed_variance: the variance of that.
    """

    values: list[float]
    means_B: list[Floats]
    seed_noise_B: Floats
    seed_variance: float


def two_levels(methods: list[SeedPredictions], metric: str, rng: np.random.Generator, resamples: int) -> Levels:
    """The examples' level by resampling, the seeds' level by Student's t: see above."""
    count = len(methods[0].label_N)
    estimates = collect(methods, metric, [np.ones((1, count), dtype=np.float32)])
    drawn = collect(methods, metric, bootstrap_weights(count, resamples, rng))
    parts = [
        (_seed_variance(values_1S[0], drawn_BS), len(values_1S[0]) - 1)
        for values_1S, drawn_BS in zip(estimates, drawn, strict=True)
    ]
    variance = sum(part for part, _ in parts)
    noise_B = np.zeros(resamples)
    if variance > 0:
        # Welch-Satterthwaite: the degrees of freedom of a sum of variances, each estimated separately
        freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts if part > 0)
        noise_B = np.sqrt(variance) * rng.standard_t(freedom, size=resamples)
    means_B = [drawn_BS.mean(axis=1) for drawn_BS in drawn]
    return Levels([float(values_1S.mean()) for values_1S in estimates], means_B, noise_B, variance)


def _seed_variance(value_S: Floats, drawn_BS: Floats) -> float:
    """The seeds' share of the variance of the mean over seeds; 0 for a single seed, where it is unknown."""
    seeds = len(value_S)
    if seeds == 1:
        return 0.0
    examples_alone = float(np.nanvar(drawn_BS.mean(axis=1)))
    both = max(0.0, (float(np.nanvar(drawn_BS, axis=0).mean()) - examples_alone) * seeds / (seeds - 1))
    return max(0.0, float(value_S.var(ddof=1)) - both) / seeds


def collect(methods: list[SeedPredictions], metric: str, chunks: Iterable[Weights]) -> list[Floats]:
    """For each method, the metric of each of its seeds on each row of weights: [B, S]."""
    statistics = [method.statistics((metric,)) for method in methods]
    parts: list[list[Floats]] = [[] for _ in methods]
    for weights_BN in chunks:
        for part, by_seed in zip(parts, statistics, strict=True):
            part.append(np.stack([of_seed(weights_BN)[metric] for of_seed in by_seed], axis=1))
    return [np.concatenate(part) for part in parts]
