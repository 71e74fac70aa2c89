"""Of real questions without a header, in many sizes and kinds of labels, the first is never taken for names."""

from collections.abc import Callable

import pytest

import tiny
from feathertune.data.formats.header import header_evidence

QUERIES = tiny.SHARED / "query-wellformedness" / "train.tsv"
pytestmark = pytest.mark.skipif(not QUERIES.is_file(), reason="the Query Wellformedness data is not here")

KINDS: dict[str, tuple[Callable[[str, float], list[str]], list[str]]] = {
    "ratings": (lambda text, rating: [text, str(rating)], ["opinion", "points"]),
    "two classes": (lambda text, rating: [text, "good" if rating > 0.5 else "bad"], ["utterance", "polarity"]),
    "0 and 1": (lambda text, rating: [text, str(int(rating > 0.5))], ["Phrase", "Positive"]),
    "the label first": (lambda text, rating: ["spam" if rating > 0.5 else "ham", text], ["v1", "v2"]),
    "many classes": (lambda text, _: [text, f"intent_{len(text) % 77}"], ["utterance", "intent_name"]),
    "two texts": (lambda text, rating: [text, text[::-1], str(int(rating > 0.5))], ["premise", "hypothesis", "gold"]),
    "texts alone": (lambda text, _: [text], ["utterance"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_that_is_missing_never_costs_a_row(kind: str) -> None:
    row, header = KINDS[kind]
    lines = [line.split("\t") for line in QUERIES.read_text(encoding="utf-8").splitlines()]
    rows = [row(text, float(rating)) for text, rating in lines]
    found, with_header = [], []
    for number, size in enumerate([2, 3, 5, 8, 16, 32, 100] * 10):
        part = rows[211 * number : 211 * number + size]
        found.append(header_evidence(part))
        with_header.append(header_evidence([header, *part]))
    assert True not in found
    assert False not in with_header
    if kind != "many classes":  # which do not recur in so few rows: both readings are shown
        assert found.count(False) >= 0.9 * len(found)
    assert with_header.count(True) >= 0.9 * len(with_header)
