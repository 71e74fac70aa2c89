"""Krippendorff's alpha, against the published examples."""

import numpy as np
import pytest

from feathertune.stats.agreement import agreement

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), sections A, B and C; a line is an annotator, `*` is
# missing. The last is the example of Wikipedia's article.
TWO_BINARY = ("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0")
TWO_NOMINAL = ("a a b b d c c c e d d a", "b a b b b c c c e d d d")
FOUR_WITH_MISSING = (
    "1 2 3 3 2 1 4 1 2 * * *",
    "1 2 3 3 2 2 4 1 2 5 * 3",
    "* 3 3 3 2 3 4 2 2 5 1 *",
    "1 2 3 3 2 4 4 1 2 5 1 *",
)
THREE_WITH_MISSING = ("* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4")


def votes(lines: tuple[str, ...]) -> np.ndarray:
    """[N, C] counts of the labels that annotators gave."""
    rows = [line.split() for line in lines]
    names = sorted({name for row in rows for name in row} - {"*"})
    return np.array([[column.count(name) for name in names] for column in zip(*rows, strict=True)])


@pytest.mark.parametrize(
    ("lines", "alpha", "items", "annotators"),
    [
        (TWO_BINARY, 0.095, 10, 2),
        (TWO_NOMINAL, 0.692, 12, 2),
        (FOUR_WITH_MISSING, 0.743, 11, 4),
        (THREE_WITH_MISSING, 0.691, 12, 3),
    ],
)
def test_the_published_examples(lines: tuple[str, ...], alpha: float, items: int, annotators: int) -> None:
    found = agreement(votes(lines))
    assert found is not None
    assert found.alpha == pytest.approx(alpha, abs=5e-4)
    assert (found.items, found.annotators) == (items, annotators)
    assert found.interval is not None
    low, high = found.interval
    assert low < alpha < high <= 1


def test_by_hand() -> None:
    # 3 texts, two annotators: yes/yes, no/no, yes/no. D_o = 2 of 6; D_e = 2 * 3 * 3 / (6 * 5) = 0.6
    found = agreement(np.array([[2, 0], [0, 2], [1, 1], [1, 0]]))
    assert found is not None
    assert found.alpha == pytest.approx(1 - (2 / 6) / 0.6)
    assert (found.items, found.annotators) == (3, 2)


def test_perfect_agreement_is_1_without_an_interval() -> None:
    found = agreement(np.array([[2, 0], [0, 3], [2, 0], [0, 2]]))
    assert found is not None
    assert (found.alpha, found.interval) == (1, None)


def test_a_single_label_tells_nothing_about_agreement() -> None:
    found = agreement(np.array([[2, 0], [3, 0]]))
    assert found is not None
    assert (found.alpha, found.interval, found.items) == (None, None, 2)
    assert agreement(np.array([[1, 0], [0, 1]])) is None


def test_the_interval_covers_the_true_value_as_often_as_it_should() -> None:
    """Two annotators of an even binary label, each right with probability 0.9: alpha is (2 * 0.9 - 1)^2 = 0.64."""
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(100):
        truth_N = rng.random(150) < 0.5
        yes_N = sum((np.where(rng.random(150) < 0.9, truth_N, ~truth_N)).astype(int) for _ in range(2))
        found = agreement(np.stack([2 - yes_N, yes_N], axis=1), seed=seed, resamples=400)
        assert found is not None
        assert found.interval is not None
        covered += found.interval[0] <= 0.64 <= found.interval[1]
    assert 90 <= covered <= 99
