"""Leaving bad rows out is proposed where they are few; where most are bad, the kind of file is in question."""

import pytest

from feathertune.data.bad_rows import BadRowError
from feathertune.data.formats.format import FileFormat, Table
from feathertune.data.rows import BadRow

SKIP = "data.on_bad_row=skip"
TABLE = Table("a.csv", "a.csv", lambda _: iter(()), True, FileFormat("csv", separator=",", quote='"', header=True))


def bad(count: int) -> list[BadRow]:
    return [BadRow(f"a.csv:{n + 2}", "3 fields where 2 are expected") for n in range(count)]


@pytest.mark.parametrize(("number", "proposed"), [(1, True), (25, True), (26, False), (100, False)])
def test_skipping_is_proposed_for_few(number: int, proposed: bool) -> None:
    error = BadRowError(bad(number), 100, SKIP, TABLE)
    assert (SKIP in str(error)) is proposed
    assert ("read as: csv, comma separated, with a header, UTF-8" in str(error)) is not proposed


def test_five_rows_are_named_and_the_others_counted() -> None:
    lines = str(BadRowError(bad(7), 1000, SKIP, TABLE)).splitlines()
    assert lines[0] == "a.csv:2: 3 fields where 2 are expected"
    assert lines[4] == "  a.csv:6: 3 fields where 2 are expected"
    assert lines[5:] == ["  and 2 more of 1,000 rows", f"  Fix them, or skip such rows: {SKIP}"]


def test_a_row_with_a_way_out_of_its_own_names_that() -> None:
    error = BadRowError([BadRow("a.csv:2", "not valid UTF-8", "data.encoding=windows-1252")], 1, SKIP)
    assert error.fix == "data.encoding=windows-1252"


def test_where_rows_cannot_be_skipped_nobody_proposes_it() -> None:
    error = BadRowError(bad(1), 10, None, TABLE)
    assert error.fix == "Fix or remove it."
    assert error.with_skip("--on-bad-row skip").fix == "Fix it, or skip such rows: --on-bad-row skip"
