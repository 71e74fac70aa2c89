"""The ceiling implied by the raters' disagreement, against simulated raters with a known p for every text."""

import numpy as np
import pytest
from scipy.stats import binom

from feathertune.stats.rater_ceiling import rater_ceiling

RATERS, NEEDED = 5, 4


def panels(rng: np.random.Generator, p_N: np.ndarray) -> np.ndarray:
    """[N] ratings by a new panel."""
    return rng.binomial(RATERS, p_N) / RATERS


@pytest.mark.parametrize("shape", [(0.6, 0.5), (2.0, 3.0)])
def test_the_ceiling_is_what_new_raters_and_an_oracle_reach(shape: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    p_N = rng.beta(*shape, size=200_000)
    ratings_N = panels(rng, p_N)
    labels_N = (ratings_N >= NEEDED / RATERS).astype(np.int64)
    found = rater_ceiling(labels_N, ratings_N)
    assert (found.raters, found.needed, found.left_out) == (RATERS, NEEDED, 0)
    assert (found.alpha, found.beta) == pytest.approx(shape, rel=0.03)
    other_labels_N = panels(rng, p_N) >= NEEDED / RATERS
    one_N, two_N = (rng.random(len(p_N)) < p_N for _ in range(2))
    oracle_N = binom.sf(NEEDED - 1, RATERS, p_N) >= 0.5
    assert found.other_panel == pytest.approx((other_labels_N == labels_N).mean(), abs=0.004)
    assert found.other_rater == pytest.approx((one_N == labels_N).mean(), abs=0.004)
    assert found.two_raters == pytest.approx((one_N == two_N).mean(), abs=0.004)
    assert found.best_possible == pytest.approx((oracle_N == labels_N).mean(), abs=0.004)
    for rated in found.by_rating:
        inside_N = np.isclose(ratings_N, rated.rating)
        assert rated.count == inside_N.sum()
        assert rated.best_possible == pytest.approx((oracle_N == labels_N)[inside_N].mean(), abs=0.02)
        assert rated.other_panel == pytest.approx((other_labels_N == labels_N)[inside_N].mean(), abs=0.02)


def test_a_density_that_is_not_beta_changes_little() -> None:
    rng = np.random.default_rng(1)
    p_N = rng.choice([0.03, 0.2, 0.5, 0.75, 0.97], size=100_000)
    ratings_N = panels(rng, p_N)
    labels_N = (ratings_N >= NEEDED / RATERS).astype(np.int64)
    found = rater_ceiling(labels_N, ratings_N)
    oracle_N = binom.sf(NEEDED - 1, RATERS, p_N) >= 0.5
    assert found.best_possible == pytest.approx((oracle_N == labels_N).mean(), abs=0.015)


def test_the_hubs_rounding_and_a_few_other_panels_do_no_harm() -> None:
    rng = np.random.default_rng(2)
    ratings_N = panels(rng, rng.random(1000)).astype(np.float32).astype(np.float64)
    ratings_N[:5] = 1 / 6
    found = rater_ceiling((ratings_N > 0.7).astype(np.int64), ratings_N)
    assert (found.raters, found.needed, found.left_out) == (5, 4, 5)
    assert sum(rated.count for rated in found.by_rating) == 995


@pytest.mark.parametrize(
    "ratings",
    [
        np.array([0.0, 1.0, 1.0, 0.0]),  # one rater, or unanimous ones: nothing is known about disagreement
        np.random.default_rng(3).random(50),  # not shares
        np.array([1.0, 3.0, 2.5, 4.0]),  # stars
    ],
)
def test_other_ratings_imply_no_ceiling(ratings: np.ndarray) -> None:
    assert rater_ceiling((ratings > np.median(ratings)).astype(np.int64), ratings) is None


def test_labels_not_decided_by_the_ratings_have_none_either() -> None:
    ratings = np.array([0.2, 0.4, 0.6, 0.8, 1.0] * 4)
    assert rater_ceiling(np.arange(20) % 2, ratings) is None
    assert rater_ceiling(np.ones(20, dtype=np.int64), ratings) is None
