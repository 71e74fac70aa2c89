"""Tables as csv writes them, in every dialect and encoding, are read back as they were."""

import bz2
import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feathertune.data.formats.format import FileSettings
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
