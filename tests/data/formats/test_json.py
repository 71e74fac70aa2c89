"""JSON files in the layouts that people publish, and what is wrong with some."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feathertune.data.formats import json_stream
from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

SETTINGS = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROWS = [{"text": "a fine day", "label": "yes"}, {"text": "a dull day", "label": "no"}, {"text": "warm", "label": "yes"}]
PAIRS = [[row["text"], row["label"]] for row in ROWS]
COLUMNS = {name: [row[name] for row in ROWS] for name in ("text", "label")}
FRAME = pd.DataFrame(ROWS)


def opened(path: Path, content: object, **found: object) -> dict[str, Table]:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return open_file(path, FileSettings(**found)).tables  # type: ignore[arg-type]


def fields(table: Table, names: tuple[str, ...] | None = None) -> list[dict[str, object]]:
    return [row.fields for row in table.read(names) if isinstance(row, Row)]


LAYOUTS: dict[str, object] = {
    "an array": ROWS,
    "an indented array": json.dumps(ROWS, indent=2),
    "an array with an object a line": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "lines": "".join(json.dumps(row) + "\n" for row in ROWS),
    "lines with blank ones at the end": "\n".join(map(json.dumps, ROWS)) + "\n\n \n",
    "lines with commas": ",\n".join(map(json.dumps, ROWS)),
    "lines of Windows": "\r\n".join(map(json.dumps, ROWS)),
    "a byte order mark": "\ufeff" + json.dumps(ROWS),
    "objects one after the other": "\n".join(json.dumps(row, indent=1) for row in ROWS),
    "columns": COLUMNS,
    "rows under a key": {"version": "1.0", "data": ROWS},
    "rows two keys deep": {"meta": {"tags": ["a", "b"]}, "result": {"count": 3, "items": ROWS}},
    "records by their ids": {f"q{index}": row for index, row in enumerate(ROWS)},
    "an array of arrays with a header": [["text", "label"], *PAIRS],
    "pandas, records": FRAME.to_json(orient="records"),
    "pandas, lines": FRAME.to_json(orient="records", lines=True),
    "pandas, columns": FRAME.to_json(orient="columns"),
    "pandas, index": FRAME.to_json(orient="index"),
    "pandas, split": FRAME.to_json(orient="split"),
    "pandas, table": FRAME.to_json(orient="table", index=False),
    "pandas, columns by ids": FRAME.set_index(pd.Index(["x", "y", "z"])).to_json(orient="columns"),
    "pandas, index by ids": FRAME.set_index(pd.Index(["x", "y", "z"])).to_json(orient="index"),
}


@pytest.mark.parametrize("suffix", [".json", ".csv", ""])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_found_by_content(tmp_path: Path, layout: str, suffix: str) -> None:
    assert fields(opened(tmp_path / f"a{suffix}", LAYOUTS[layout])["train"]) == ROWS


def test_what_is_read_under_a_key_is_noted(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.json", {"version": 2, "data": ROWS})["train"]
    assert table.notes == ("the rows are those of 'data' (3)",)
    assert table.format is not None
    assert (table.format.kind, table.format.field) == ("json", "data")


def test_a_frame_without_names_has_columns_to_be_named(tmp_path: Path) -> None:
    for content in (PAIRS, "\n".join(map(json.dumps, PAIRS))):
        table = opened(tmp_path / "a.json", content)["train"]
        assert (table.headerless, table.columns) == (True, ("column 1", "column 2"))
        assert fields(table, ("text", "label")) == ROWS
        assert fields(opened(tmp_path / "a.json", content, columns=("text", "label"))["train"]) == ROWS


def test_an_array_of_texts_has_no_labels(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.json", ["one", "two"])["train"]
    assert (table.columns, fields(table)) == (("text",), [{"text": "one"}, {"text": "two"}])


def test_splits_of_one_file_are_tables_of_their_own(tmp_path: Path) -> None:
    tables = opened(tmp_path / "a.json", {"Train": ROWS, "dev": COLUMNS, "test": ROWS[:1], "labels": ["no", "yes"]})
    assert {split: len(fields(table)) for split, table in tables.items()} == {"train": 3, "validation": 3, "test": 1}
    assert tables["train"].notes == ("not read, as they are no splits: 'labels'",)


def test_texts_by_class_have_the_class_as_their_label(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.json", {"yes": ["a fine day", "warm"], "no": ["a dull day"]})["train"]
    assert table.roles == ("text", "label", ())
    assert fields(table) == [ROWS[0], ROWS[2], ROWS[1]]


@pytest.mark.parametrize("other", [{"id": 0, "name": "yes"}, {"name": "Ann"}])
def test_of_several_parts_the_one_with_usual_names_is_meant(tmp_path: Path, other: dict[str, object]) -> None:
    table = opened(tmp_path / "a.json", {"info": {"others": [other]}, "examples": ROWS})["train"]
    assert fields(table) == ROWS
    assert table.notes == ("the rows are those of 'examples' (3); not read: 'info.others'",)


def test_as_many_texts_in_each_class_are_no_columns(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.json", {"positive": ["good", "fine"], "negative": ["bad", "poor"]})["train"]
    assert fields(table)[2] == {"text": "bad", "label": "negative"}


def test_several_parts_that_may_be_meant_are_shown_with_the_line_to_type(tmp_path: Path) -> None:
    content = {"reviews": {"items": ROWS}, "shops": [{"title": "Ann's", "tag": 1}]}
    with pytest.raises(UserError, match="several parts of the file may be its rows") as caught:
        opened(tmp_path / "a.json", content)
    assert "data.field=reviews.items: 3 rows, the first {'text': 'a fine day', 'label': 'yes'}" in str(caught.value)
    assert "data.field=shops: 1 row, the first" in str(caught.value)
    assert fields(opened(tmp_path / "a.json", content, field="reviews.items")["train"]) == ROWS
    with pytest.raises(UserError, match="the file has no 'review'") as caught:
        opened(tmp_path / "a.json", content, field="review")
    assert "data.field=reviews.items" in str(caught.value)


def test_objects_within_rows_become_columns_as_in_pandas(tmp_path: Path) -> None:
    rows = [{"review": {"text": "a", "by": {"name": "x"}}, "label": 1, "by.name": "kept"}]
    read = fields(opened(tmp_path / "a.jsonl", json.dumps(rows[0]) + "\n")["train"])
    assert read == pd.json_normalize(rows).to_dict("records")
    assert read == [{"review.text": "a", "review.by.name": "x", "label": 1, "by.name": "kept"}]


def test_a_column_of_a_name_with_a_dot_keeps_its_values(tmp_path: Path) -> None:
    content = [{"a": {"b": "inner", "c": 1}, "a.b": "outer", "label": "x"}]
    assert fields(opened(tmp_path / "a.json", content)["train"]) == [{"a.c": 1, "a.b": "outer", "label": "x"}]


def test_a_row_of_an_array_knows_its_line_and_number(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    table = opened(path, '[\n {"text": "a"},\n\n {"text": "b",\n  "c": 1}, {"text": "d"}\n]')["train"]
    assert [(row.place, row.row) for row in table.read(None) if isinstance(row, Row)] == [
        (f"{path}:2, row 1", 1),
        (f"{path}:4, row 2", 2),
        (f"{path}:5, row 3", 3),
    ]


BAD_ROWS = {
    "repeated key": ('{"text": "a", "text": "b"}', "'text' appears twice"),
    "NaN": ('{"text": NaN}', "NaN is not a number in JSON"),
    "half a surrogate pair": ('{"text": "\\ud83d"}', "half of a surrogate pair"),
    "half a pair within a list": ('{"text": "a", "label": ["\\ude00"]}', "half of a surrogate pair"),
    "a number": ("1", "not a JSON object"),
    "null": ("null", "not a JSON object"),
    "a list": ('["a"]', "not a JSON object"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("between", [", ", "\n"], ids=["array", "lines"])
def test_a_bad_row_is_named_and_the_others_are_read(tmp_path: Path, case: str, between: str) -> None:
    row, reason = BAD_ROWS[case]
    joined = between.join(['{"text": "a"}', row, '{"text": "b"}', '{"text": "c"}'])
    table = opened(tmp_path / "a.json", joined if between == "\n" else f"[{joined}]")["train"]
    assert fields(table) == [{"text": text} for text in "abc"]
    (bad,) = [row for row in table.read(None) if isinstance(row, BadRow)]
    assert reason in bad.reason
    assert bad.place == str(tmp_path / "a.json") + (":2" if between == "\n" else ":1, row 2")


def test_a_byte_of_another_encoding_is_named_in_an_array_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('[{"text": "a"},\n {"text": "é"}, {"text": "ü"}]'.encode().replace("é".encode(), b"\xe9"))
    read = list(open_file(path, FileSettings()).tables["train"].read(None))
    assert [type(row) for row in read] == [Row, BadRow, Row]
    assert read[1] == BadRow(f"{path}:2, row 2", "not valid text: byte 0xe9")


BAD_FILES = {
    "cut": ('[{"text": "a"}, {"text": "b', "a.json:1: not valid JSON: the file ends in the middle of a value"),
    "cut after a row": ('[{"text": "a"},\n{"text": "b"}', "a.json:2: not valid JSON: the end of the file where"),
    "a comma too many": ('[{"text": "a"},\n]', "a.json:2: not valid JSON"),
    "more after the end": ('{"data": [{"text": "a"}]} x', "there is more after the end"),
    "Python's notation": ("[{'text': 'it', 'label': 'x'}]", "written as Python prints objects"),
    "columns of different lengths": ({"text": ["a", "b"], "label": ["x"]}, "'text' 2, 'label' 1"),
    "a key twice": ('{"data": [{"text": "a"}], "data": [{"text": "b"}]}', "the key 'data' appears twice"),
    "no rows": ({"config": {"a": {}}, "list": []}, "the JSON has no rows"),
    "nested without end": ("[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_useless_file_is_the_users_error(tmp_path: Path, case: str) -> None:
    content, message = BAD_FILES[case]
    with pytest.raises(UserError) as caught:
        list(opened(tmp_path / "a.json", content)["train"].read(None))
    assert message in str(caught.value)


def test_texts_that_begin_like_json_are_none(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", "text,label\n[deleted],x\n")["train"]
    assert fields(table) == [{"text": "[deleted]", "label": "x"}]
    table = opened(tmp_path / "b.csv", "[text],label\na,x\n")["train"]
    assert fields(table) == [{"[text]": "a", "label": "x"}]


SCALARS = st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
VALUES = SCALARS | st.lists(st.text(max_size=5), max_size=3)
RECORDS = st.lists(st.fixed_dictionaries({"text": st.text(), "label": VALUES, "other": VALUES}), min_size=1, max_size=8)


@SETTINGS
@given(records=RECORDS, indent=st.none() | st.integers(0, 3), escape=st.booleans(), chunk=st.integers(1, 60))
def test_any_array_is_read_as_written(
    tmp_path: Path, records: list[dict[str, object]], indent: int | None, escape: bool, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)  # so that values are cut everywhere
        text = json.dumps(records, indent=indent, ensure_ascii=escape)
        assert fields(opened(tmp_path / "a.json", text)["train"]) == json.loads(text)
        nested = json.dumps({"data": records}, indent=indent, ensure_ascii=escape)
        assert fields(opened(tmp_path / "b.json", nested, field="data")["train"]) == json.loads(text)


@SETTINGS
@given(records=RECORDS, orient=st.sampled_from(["records", "split", "index", "columns"]))
def test_any_frame_is_read_as_pandas_wrote_it(tmp_path: Path, records: list[dict[str, object]], orient: str) -> None:
    frame = pd.DataFrame(records).astype(object)
    text = frame.to_json(orient=orient, double_precision=15)
    expected = json.loads(frame.to_json(orient="records", double_precision=15))
    assert fields(opened(tmp_path / "a.json", text)["train"]) == expected


def test_the_keys_of_all_splits_are_named(tmp_path: Path) -> None:
    tables = opened(tmp_path / "a.json", {"train": ROWS, "test": ROWS})
    assert {table.format and table.format.sentence() for table in tables.values()} == {
        "read as: json, rows under 'train, test', UTF-8"
    }
