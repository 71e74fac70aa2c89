"""Rows of every format are read exactly as they were written; bad rows are reported with their line."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feathertune.data.formats import arrow_rows, lines
from feathertune.data.formats.opening import read_rows
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

GOOGLE = ("content", "rating")
# Any text without control characters or surrogates. U+0085, U+2028 and U+2029 are included: they do not end a line.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
SETTINGS = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

HOSTILE_TEXTS = [
    "NA",
    "null",
    "None",
    "nan",
    "#N/A",
    "a 'quoted' \"text\"",
    '"',
    '"opening quote only',
    "# no comment",
    " spaces around ",
    "emoji 👩\u200d🚀 and ζ, ж, 中文, العربية, हिन्दी",
    "line\u2028and\u2029paragraph\x85separators",
    "\ufefftext that begins with a byte order mark",
    "e\u0301 decomposed",
    "-1e5",
    "=1+1",
    "\\t \\n are two characters each",
]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts_of(path: Path) -> list[object]:
    return [row.fields["text"] for row in read_rows(path) if isinstance(row, Row)]


def the_bad_row(path: Path) -> BadRow:
    (bad,) = [row for row in read_rows(path) if isinstance(row, BadRow)]
    return bad


def write_texts(path: Path, texts: list[str]) -> Path:
    """Write each format with its usual writer, and a second column, so that an empty text is not an empty line."""
    if path.suffix == ".tsv":
        return write(path, "text\tlabel\n" + "".join(f"{text}\tx\n" for text in texts))
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["text", "label"], *([text, "x"] for text in texts)])
    elif path.suffix == ".jsonl":
        return write(path, "".join(json.dumps({"text": text, "label": "x"}) + "\n" for text in texts) or "\n")
    else:
        pq.write_table(pa.table({"text": pa.array(texts, pa.string()), "label": ["x"] * len(texts)}), path)
    return path


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
def test_texts_that_other_readers_change_are_kept(tmp_path: Path, suffix: str) -> None:
    assert texts_of(write_texts(tmp_path / f"train{suffix}", HOSTILE_TEXTS)) == HOSTILE_TEXTS


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
@SETTINGS
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_any_text_is_kept(tmp_path: Path, suffix: str, texts: list[str]) -> None:
    assert texts_of(write_texts(tmp_path / f"train{suffix}", texts)) == texts


@SETTINGS
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=5)
)
def test_csv_and_jsonl_keep_control_characters_too(tmp_path: Path, texts: list[str]) -> None:
    for name in ("train.csv", "train.jsonl"):
        assert texts_of(write_texts(tmp_path / name, texts)) == texts


def test_a_row_knows_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", "text\tlabel\na\tx\nb\ty\n")
    assert list(read_rows(path)) == [
        Row(f"{path}:2", 2, {"text": "a", "label": "x"}),
        Row(f"{path}:3", 3, {"text": "b", "label": "y"}),
    ]


def test_tsv_has_no_quotes_and_ends_lines_at_newlines_only(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", 'text\tlabel\r\n"a\tx\r\nlone \r return\ty')
    assert [row.fields for row in read_rows(path) if isinstance(row, Row)] == [
        {"text": '"a', "label": "x"},
        {"text": "lone \r return", "label": "y"},
    ]


def test_csv_quotes_hold_tabs_and_line_ends_and_a_row_is_where_it_starts(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", 'text,label\r\n"tab\there, ""quoted""\r\nnext line",x\r\nlast,y\r\n')
    assert list(read_rows(path)) == [
        Row(f"{path}:2", 2, {"text": 'tab\there, "quoted"\r\nnext line', "label": "x"}),
        Row(f"{path}:4", 4, {"text": "last", "label": "y"}),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for name, content in {
        "a.tsv": "text\tlabel\na\tx\n",
        "a.csv": "text,label\na,x\n",
        "a.jsonl": '{"text": "a"}\n',
    }.items():
        assert texts_of(write(tmp_path / name, b"\xef\xbb\xbf" + content.encode())) == ["a"]


UNUSUAL = {
    "UTF-16": ("a.tsv", "text\tlabel\na\tx\n".encode("utf-16")),
    "UTF-16, the other way round": ("a.csv", b"\xfe\xff" + "text,label\na,x\n".encode("utf-16-be")),
    "UTF-16 without its mark": ("a.csv", "text,label\na,x\n".encode("utf-16-le")),
    "UTF-32": ("a.csv", "text,label\na,x\n".encode("utf-32")),
    "line ends of old Macs in tsv": ("a.tsv", b"text\tlabel\ra\tx\r"),
    "line ends of old Macs in csv": ("a.csv", b"text,label\ra,x"),
    "Excel's separator": ("a.csv", b"sep=;\ntext;label\na;x\n"),
    "blank lines around": ("a.csv", b"\n\ntext,label\na,x\n\n\n"),
    "a comment": ("a.tsv", b"# made today\ntext\tlabel\na\tx\n"),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_files_are_read_as_they_lie(tmp_path: Path, case: str) -> None:
    name, content = UNUSUAL[case]
    (row,) = read_rows(write(tmp_path / name, content))
    assert isinstance(row, Row)
    assert row.fields == {"text": "a", "label": "x"}


def test_google_layout_has_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tsv", 'Is "NA" ?\t1.0\nhow it ?\t0.2\n')
    assert [row.fields for row in read_rows(path, GOOGLE) if isinstance(row, Row)] == [
        {"content": 'Is "NA" ?', "rating": "1.0"},
        {"content": "how it ?", "rating": "0.2"},
    ]


def test_a_header_is_a_header_even_where_a_headerless_file_is_allowed(tmp_path: Path) -> None:
    two = write(tmp_path / "two.tsv", "content\trating\na\t1.0\n")
    three = write(tmp_path / "three.tsv", "content\trating\t2020\na\t1.0\tz\n")
    assert [[row.row for row in read_rows(path, GOOGLE) if isinstance(row, Row)] for path in (two, three)] == [[2], [2]]


def test_txt_is_one_text_a_line(tmp_path: Path) -> None:
    assert texts_of(write(tmp_path / "a.txt", 'NA\n\n"two\twords"\r\nend')) == ["NA", "", '"two\twords"', "end"]


def test_json_values_keep_their_types(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "rating": 0.8, "label": 1, "flag": true, "none": null}\n')
    (row,) = read_rows(path)
    assert isinstance(row, Row)
    assert row.fields == {"text": "a", "rating": 0.8, "label": 1, "flag": True, "none": None}


def test_parquet_leaves_out_columns_that_cannot_be_text_or_label(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    words = pa.array(["a", "b"]).dictionary_encode()
    columns = {"text": words, "vector": [[1.0], [2.0]], "raw": [b"\xff", b"\xfe"], "label": [1, 0]}
    pq.write_table(pa.table(columns), path)
    assert list(read_rows(path)) == [
        Row(f"{path}:1", 1, {"text": "a", "label": 1}),
        Row(f"{path}:2", 2, {"text": "b", "label": 0}),
    ]


def test_parquet_rows_are_numbered_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_rows, "BATCH_ROWS", 3)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(n) for n in range(8)]}), path, row_group_size=5)
    assert [(row.row, row.fields["text"]) for row in read_rows(path) if isinstance(row, Row)] == [
        (n + 1, str(n)) for n in range(8)
    ]


BAD_LINES = {
    "short tsv row": ("a.tsv", b"text\tlabel\na\tx\nb\n", 3, "1 fields where 2"),
    "long tsv row": ("a.tsv", b"text\tlabel\na\tx\ty\n", 2, "3 fields where 2"),
    "empty tsv line": ("a.tsv", b"text\tlabel\na\tx\n\nb\ty\n", 3, "empty"),
    "bad UTF-8 in tsv": ("a.tsv", b"text\tlabel\na\tx\nb\xff\tx\n", 3, "not valid UTF-8: byte 0xff at position 2"),
    "NUL in tsv": ("a.tsv", b"text\tlabel\na\0\tx\n", 2, "NUL"),
    "short csv row": ("a.csv", b'text,label\n"a\nb",x\nc\n', 4, "1 fields where 2"),
    "bad UTF-8 in a csv row of two lines": ("a.csv", b'text,label\n"a\n\xe9",x\nc,x\n', 2, "not valid UTF-8"),
    "quote that never closes": ("a.csv", b'text,label\n"a, a",x\n"d, d",x\n"b,x\nc,x\n', 4, "lines 4 to 5"),
    "text after a closing quote": ("a.csv", b'text,label\n"a"b,x\n"c, c",x\n', 2, "not valid CSV"),
    "lone carriage return in csv": ("a.csv", b'text,label\na\rb,x\n"c, c",x\n', 2, "not valid CSV"),
    "NUL in csv": ("a.csv", b"text,label\na,x\nb\0,x\n", 3, "NUL"),
    "cut JSON": ("a.jsonl", b'{"text": "a"}\n{"text": \n', 2, "not valid JSON"),
    "JSON list": ("a.jsonl", b'{"text": "a"}\n["a"]\n', 2, "not a JSON object"),
    "repeated key": ("a.jsonl", b'{"text": "a", "text": "b"}\n', 1, "'text' appears twice"),
    "NaN": ("a.jsonl", b'{"text": "a", "rating": NaN}\n', 1, "NaN"),
    "half a surrogate pair": ("a.jsonl", b'{"text": "a"}\n{"text": "\\ud83d"}\n', 2, "surrogate"),
    "deep JSON": ("a.jsonl", b'{"text": ' + b"[" * 100_000 + b"\n", 1, "JSON"),
    "bad UTF-8 in jsonl": ("a.jsonl", b'{"text": "\xff"}\n', 1, "UTF-8"),
    "empty line in jsonl": ("a.jsonl", b'{"text": "a"}\n\n{"text": "b"}\n', 2, "empty"),
    "bad UTF-8 in txt": ("a.txt", b"a\n\xff\n", 2, "UTF-8"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_row_names_its_line_and_the_rest_is_read(tmp_path: Path, case: str) -> None:
    name, content, line, reason = BAD_LINES[case]
    path = write(tmp_path / name, content)
    bad = the_bad_row(path)
    assert bad.place == f"{path}:{line}"
    assert reason in bad.reason
    assert (bad.fix is not None and "data.encoding=windows-1252" in bad.fix) == ("UTF-8" in case)


def test_bad_utf8_in_parquet_names_its_row(tmp_path: Path) -> None:
    raw = pa.array([b"fine", b"\xff\xfe", b"too"], pa.binary())
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.Array.from_buffers(pa.string(), 3, raw.buffers())}), path)
    assert [row.place for row in read_rows(path) if isinstance(row, Row)] == [f"{path}:1", f"{path}:3"]
    assert the_bad_row(path).place == f"{path}:2"


BAD_FILES = {
    "empty tsv": ("a.tsv", b"", "a.tsv: the file is empty"),
    "only a byte order mark": ("a.tsv", b"\xef\xbb\xbf", "a.tsv: the file is empty"),
    "empty csv": ("a.csv", b"", "a.csv: the file is empty"),
    "empty jsonl": ("a.jsonl", b"", "a.jsonl: the file is empty"),
    "empty parquet": ("a.parquet", b"", "a.parquet: the file is empty"),
    "cut parquet": ("a.parquet", b"PAR1\x15\x04", "not a readable Parquet file"),
    "another kind": ("a.xlsx", b"%PDF-1.7\n", "the file is a PDF document, which cannot be read"),
    "two columns of one name": ("a.csv", b"text,text\na,b\n", "a.csv:1: two columns are named 'text'"),
    "header that is not UTF-8": ("a.csv", b"text\xff,label\n", "a.csv:1: not valid UTF-8"),
    "header in another encoding": ("a.tsv", b"caf\xe9\tlabel\n", "data.encoding=windows-1252"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_useless_file_is_the_users_error(tmp_path: Path, case: str) -> None:
    name, content, message = BAD_FILES[case]
    with pytest.raises(UserError) as caught:
        list(read_rows(write(tmp_path / name, content)))
    assert message in str(caught.value)


def test_a_missing_file_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_rows(tmp_path / "a.tsv")


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 100)
    with pytest.raises(UserError, match=r"a\.tsv:2: the line is longer than 100 bytes"):
        list(read_rows(write(tmp_path / "a.tsv", "text\tlabel\n" + "a" * 200)))


def test_a_csv_field_may_be_longer_than_the_csv_module_allows_by_default(tmp_path: Path) -> None:
    assert texts_of(write_texts(tmp_path / "a.csv", ["long " * 100_000])) == ["long " * 100_000]
