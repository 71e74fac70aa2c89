"""Tables as csv writes them, in every dialect and encoding, are read back as they were."""

import bz2
import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LETTERS = "abcdefgh ijklmnop'\"\\.!?,;|\t#"
TEXT = st.text(LETTERS + "äéßñ", min_size=1, max_size=30).filter(lambda text: text.strip() != "")
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Texts and labels; some texts have a line end or a comma."""
    texts = draw(st.lists(TEXT, min_size=1, max_size=12))
    return [[f"{text}{draw(st.sampled_from(['', ', too', chr(10) + 'on']))}", draw(LABELS)] for text in texts]


LABELS = st.sampled_from(["yes", "no", "0", "text", "n/a"])


def read(path: Path, given: FileSettings) -> list[list[object]]:
    rows = list(open_file(path, given).tables["train"].read(None))
    assert not [row for row in rows if isinstance(row, BadRow)]
    return [list(row.fields.values()) for row in rows if isinstance(row, Row)]


@SETTINGS
@given(
    table=tables(),
    separator=st.sampled_from(",;|\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    doubled=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    packed=st.sampled_from(list(PACK)),
)
def test_what_csv_writes_is_read_back(
    tmp_path: Path,
    table: list[list[str]],
    separator: str,
    quoting: int,
    doubled: bool,
    encoding: str,
    line_end: str,
    packed: str,
) -> None:
    file = io.StringIO()
    escape = None if doubled else "\\"
    writer = csv.writer(
        file, delimiter=separator, quoting=quoting, doublequote=doubled, escapechar=escape, lineterminator=line_end
    )  # type: ignore[call-overload]
    writer.writerows([["text", "label"], *table])
    path = tmp_path / f"a.csv{packed}"
    path.write_bytes(PACK[packed](file.getvalue().encode(encoding)))
    given = FileSettings(separator=separator, quote='"', escape=escape, encoding=encoding)
    assert read(path, given) == table


@SETTINGS
@given(table=tables(), separator=st.sampled_from(",;|\t"), suffix=st.sampled_from([".csv", ".tsv", ".txt", ""]))
def test_with_quotes_everywhere_nothing_need_be_said(
    tmp_path: Path, table: list[list[str]], separator: str, suffix: str
) -> None:
    path = tmp_path / f"data{suffix}"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([["text", "label"], *table])
    try:
        found = read(path, FileSettings())
    except UserError as error:
        assert "in two ways" in str(error)  # noqa: PT017  # it may be unclear, but never wrong
        return
    assert found == table
    frame = pd.read_csv(path, sep=separator, keep_default_na=False, dtype=str)
    assert found == [[text.replace("\r\n", "\n"), label] for text, label in frame.to_numpy().tolist()]


@SETTINGS
@given(table=tables(), suffix=st.sampled_from([".csv", ".txt"]))
def test_what_pandas_writes_is_right_or_refused(tmp_path: Path, table: list[list[str]], suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    pd.DataFrame(table, columns=["text", "label"]).to_csv(path, index=False)
    try:
        assert read(path, FileSettings()) == table
    except UserError as error:
        assert "in two ways" in str(error)  # noqa: PT017


def table_of(path: Path, content: str, given: FileSettings = FileSettings()) -> Table:  # noqa: B008  # immutable
    path.write_text(content, encoding="utf-8", newline="")
    return open_file(path, given).tables["train"]


ROWS = "".join(f"the soup was {word},{label}\n" for word, label in zip("abcdefghij", "xy" * 5, strict=True))


def test_a_title_before_a_table_is_left_out_and_shown(tmp_path: Path) -> None:
    table = table_of(tmp_path / "a.csv", f"Export of June\n\ntext,label\n{ROWS}")
    assert table.notes == ("before the table: 'Export of June'",)
    assert [row.row for row in table.read(None) if isinstance(row, Row)] == list(range(4, 14))


def test_line_ends_that_were_written_twice_are_no_rows(tmp_path: Path) -> None:
    table = table_of(tmp_path / "a.csv", f"text,label\n{ROWS}".replace("\n", "\r\n\r\n"))
    assert table.notes == ("empty lines between the rows are left out",)
    assert [row.row for row in table.read(None)] == list(range(3, 23, 2))  # type: ignore[union-attr]


def test_a_header_in_the_middle_is_a_bad_row(tmp_path: Path) -> None:
    table = table_of(tmp_path / "a.csv", f"text,label\n{ROWS}text,label\n{ROWS}")
    (bad,) = [row for row in table.read(None) if isinstance(row, BadRow)]
    assert (bad.place, bad.reason) == (f"{tmp_path}/a.csv:12", "the header again, as where files were joined")


@pytest.mark.parametrize(("start", "count"), [("text,label\n", 10), ("", 10), ("words,mark\n", 10)])
def test_names_that_the_user_gives_never_cost_a_row(tmp_path: Path, start: str, count: int) -> None:
    table = table_of(tmp_path / "a.csv", start + ROWS, FileSettings(columns=("words", "mark")))
    rows = [row for row in table.read(None) if isinstance(row, Row)]
    assert len(rows) == count
    assert rows[0].fields == {"words": "the soup was a", "mark": "x"}


def test_it_is_unclear_whether_a_short_row_is_a_header(tmp_path: Path) -> None:
    content = "late,bad\nsoon,good\n"
    with pytest.raises(UserError, match=r"\[late \| bad\], then \[soon \| good\]") as caught:
        table_of(tmp_path / "a.csv", content)
    assert "data.header=true" in str(caught.value)
    assert "data.header=false" in str(caught.value)
    assert len(list(table_of(tmp_path / "a.csv", content, FileSettings(header=False)).read(None))) == 2
    assert len(list(table_of(tmp_path / "a.csv", content, FileSettings(header=True)).read(None))) == 1


def test_a_format_of_tsv_means_tabs_whatever_else_would_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text,label\tx\n" + "a,b\tc\n" * 9)
    table = open_file(path, FileSettings(format="tsv")).tables["train"]
    assert table.columns == ("text,label", "x")


def test_backslashes_at_the_end_of_a_field_escape_no_quote(tmp_path: Path) -> None:
    """Found by Hypothesis: two backslashes in quotes are two, unless another quote is escaped."""
    path = tmp_path / "data.csv"
    path.write_text('"text","label"\n"\\\\","yes"\n"C:\\\\data\\\\","no"\n', encoding="utf-8")
    assert read(path, FileSettings()) == [["\\\\", "yes"], ["C:\\\\data\\\\", "no"]]
