"""Tables of any dialect, encoding and compression are read as the csv module wrote them, or refused."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

SETTINGS = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", content)
    return buffer.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
    "zip": zipped,
}
WORDS = [
    "the",
    "soup",
    "was",
    "kind,",
    "and; so",
    "it's",
    "a|b",
    '"quoted"',
    "3,5",
    "said:",
    "\ttab",
    "two\nlines",
    "ж",
    "café",
]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=5, max_size=9).map(" ".join)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]), min_size=1, max_size=12)
NO_BACKSLASH = ANY_TEXT.filter(lambda text: "\\" not in text)  # in `"\\\\"`, nothing tells whether it is escaped
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", "\t", ";", "|"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
        "doublequote": st.booleans(),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
    }
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])


def written(rows: list[tuple[str, ...]], dialect: dict[str, Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, escapechar=None if dialect["doublequote"] else "\\", **dialect).writerows(rows)
    return buffer.getvalue()


def opened(path: Path, content: bytes, **what: Any) -> Table:
    path.write_bytes(content)
    return open_file(path, FileSettings(**what)).tables["train"]


def rows_of(table: Table) -> list[tuple[object, ...]]:
    rows = list(table.read(None))
    assert [row for row in rows if isinstance(row, BadRow)] == []
    return [tuple(row.fields.values()) for row in rows if isinstance(row, Row)]


@SETTINGS
@given(
    texts=st.lists(SENTENCES, min_size=8, max_size=20),
    dialect=DIALECTS,
    encoding=ENCODINGS,
    compression=st.sampled_from(list(COMPRESSIONS)),
    suffix=st.sampled_from([".csv", ".tsv", ".txt", ".dat", ""]),
    header=st.sampled_from([[("text", "label")], [("utterance", "polarity")], []]),
)
def test_sentences_with_labels_are_read_in_every_dialect_without_an_option(
    tmp_path: Path,
    texts: list[str],
    dialect: dict[str, Any],
    encoding: str,
    compression: str,
    suffix: str,
    header: list[tuple[str, ...]],
) -> None:
    rows = [(text, ("yes", "no")[index % 2]) for index, text in enumerate(texts)]
    content = written([*header, *rows], dialect).encode(encoding)
    table = opened(tmp_path / f"a{suffix}", COMPRESSIONS[compression](content))
    assert rows_of(table) == rows
    assert table.headerless == (not header)


@SETTINGS
@given(texts=st.lists(NO_BACKSLASH, min_size=1, max_size=6), dialect=DIALECTS, encoding=ENCODINGS)
def test_any_text_under_a_header_is_read_as_it_was_written_or_refused(
    tmp_path: Path, texts: list[str], dialect: dict[str, Any], encoding: str
) -> None:
    rows = [(text, "x") for text in texts]
    content = written([("text", "label"), *rows], dialect).encode(encoding)
    try:
        table = opened(tmp_path / "a.csv", content)
    except UserError:
        return
    read = [tuple(row.fields.values()) for row in table.read(None) if isinstance(row, Row)]
    assert [row for row in read if row not in rows] == []


@SETTINGS
@given(
    texts=st.lists(ANY_TEXT, min_size=1, max_size=6),
    dialect=DIALECTS,
    names=st.sampled_from([("text", "label"), None]),
)
def test_any_text_is_read_as_it_was_written_where_the_dialect_is_set(
    tmp_path: Path, texts: list[str], dialect: dict[str, Any], names: tuple[str, ...] | None
) -> None:
    rows = [(text, "x") for text in texts]
    content = written([*([] if names is None else [names]), *rows], dialect).encode()
    table = opened(
        tmp_path / "a.csv",
        content,
        separator=dialect["delimiter"],
        quote='"',
        escape="" if dialect["doublequote"] else "\\",
        header=names is not None,
        encoding="utf-8",
    )
    assert rows_of(table) == rows


@SETTINGS
@given(texts=st.lists(SENTENCES, min_size=8, max_size=12), dialect=DIALECTS)
def test_pandas_reads_the_same(tmp_path: Path, texts: list[str], dialect: dict[str, Any]) -> None:
    content = written([("text", "label"), *((text, "yes") for text in texts)], dialect)
    frame = pd.read_csv(
        io.StringIO(content),
        sep=dialect["delimiter"],
        escapechar=None if dialect["doublequote"] else "\\",
        doublequote=dialect["doublequote"],
        keep_default_na=False,
        dtype=str,
    )
    read = rows_of(opened(tmp_path / "a.csv", content.encode()))
    assert read == list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_line_ends_of_old_macintoshes_and_quotes_go_together(tmp_path: Path, encoding: str) -> None:
    rows = [(f"déjà vu, {index}\nagain", ("yes", "no")[index % 2]) for index in range(10)]
    content = written(
        [("text", "label"), *rows],
        {"delimiter": ",", "quoting": csv.QUOTE_MINIMAL, "doublequote": True, "lineterminator": "\r"},
    )
    assert rows_of(opened(tmp_path / "a.csv", content.encode(encoding))) == rows
