"""Numbers in reports and tables."""

from feathertune.wording.numbers import DASH, count, narrow_span, number, percent, points, span


def test_numbers_are_written_with_real_minus_signs_and_without_a_negative_zero() -> None:
    assert (percent(0.7634), percent(None), percent(0.5, 0)) == ("76.3%", DASH, "50%")
    assert (points(0.031), points(-0.031), points(-0.0001)) == ("+3.1", "\N{MINUS SIGN}3.1", "+0.0")
    assert (number(12345.6), number(-1.25, 2), number(None)) == ("12,346", "\N{MINUS SIGN}1.25", DASH)


def test_a_span_has_a_dash_only_between_positive_numbers() -> None:
    assert (span((0.749, 0.777)), span(None)) == ("74.9 to 77.7", "")
    assert narrow_span((0.749, 0.777)) == f"74.9{DASH}77.7"
    assert narrow_span((-0.02, 0.01)) == "\N{MINUS SIGN}2.0 to 1.0"


def test_one_of_a_kind_is_singular() -> None:
    assert [count(number, "seed") for number in (0, 1, 1200)] == ["0 seeds", "1 seed", "1,200 seeds"]
