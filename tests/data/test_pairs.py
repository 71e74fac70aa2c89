"""Two columns of texts that belong together are named, with lines to type."""

import pytest

from feathertune.data.formats.format import Table
from feathertune.data.pairs import refuse_pair
from feathertune.data.profiles import Column
from feathertune.errors import UserError
from feathertune.recipe.schema import LabelSection

TEXTS = [f"what a lovely day number {n} was" for n in range(20)]
TABLE = Table("pairs.tsv", "pairs.tsv", lambda _: iter(()), fixed_columns=True)


def check(first: str, second: str, label: Column) -> None:
    section = (
        LabelSection(rating=label.name, at_least=2.5) if label.holds_fractions else LabelSection(column=label.name)
    )
    refuse_pair(TABLE, [Column(first, TEXTS), Column(second, TEXTS[::-1]), label], section)


@pytest.mark.parametrize(
    ("first", "second"),
    [("premise", "hypothesis"), ("Question", "Passage"), ("sentence1", "sentence2"), ("text_a", "text_b")],
)
def test_pairs_are_known_by_their_names(first: str, second: str) -> None:
    with pytest.raises(UserError, match="a pair of texts") as error:
        check(first, second, Column("label", ["0", "1", "2"] * 7))
    assert (
        error.value.fix == f"To classify both together: 'data.text=[{first},{second}]'; one alone: data.text={second}"
    )


@pytest.mark.parametrize("numbers", [["0.5", "2.5", "4.5"], ["0", "2", "5"]])
def test_a_pair_with_a_number_gets_a_threshold(numbers: list[str]) -> None:
    with pytest.raises(UserError, match=r"'score' a number \(regression\)") as error:
        check("s1", "s2", Column("score", numbers * 7))
    rated = f"'data.label={{rating: score, at_least: {numbers[1]}}}'"
    assert error.value.fix == f"To classify both together: 'data.text=[s1,s2]' {rated}; one alone: data.text=s2 {rated}"


def test_other_columns_are_no_pair() -> None:
    check("title", "body", Column("label", ["0", "1"] * 10))
    check("question", "answers", Column("answer", ["yes", "no"] * 10))
    texts, first, second = Column("text", TEXTS), Column("l1", ["a", "b"] * 10), Column("l2", ["x", "y"] * 10)
    refuse_pair(TABLE, [texts, first, second], LabelSection(column="l3"))  # labels of two levels
