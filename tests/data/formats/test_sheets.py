"""Workbooks: which sheet is read, where its table begins, and what its cells become."""

import gzip
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbooks
from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import Row
from feathertune.errors import UserError
from workbooks import Date, Error, Rows, ods, xlsx

SETTINGS = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXAMPLES = [["text", "label"], ["a fine day", "yes"], ["a dull day", "no"]]
# What XML can hold; a carriage return would come back as a newline, and Excel writes _x000D_ for other characters.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="_\ufffe\uffff"), min_size=1)
CELLS = TEXTS | st.integers(-(2**53), 2**53) | st.booleans() | st.none()


def opened(path: Path, content: bytes, **found: object) -> dict[str, Table]:
    path.write_bytes(content)
    return open_file(path, FileSettings(**found)).tables  # type: ignore[arg-type]


def fields(table: Table) -> list[dict[str, object]]:
    return [row.fields for row in table.read(None) if isinstance(row, Row)]


def the_fields(tmp_path: Path, rows: Rows, **found: object) -> list[dict[str, object]]:
    return fields(opened(tmp_path / "a.xlsx", xlsx({"Sheet1": rows}), **found)["train"])


@pytest.mark.parametrize(
    "content",
    [xlsx({"S": EXAMPLES}), xlsx({"S": EXAMPLES}, shared=True), ods({"S": EXAMPLES})],
    ids=["inline", "shared", "ods"],
)
@pytest.mark.parametrize("name", ["a.xlsx", "a.ods", "a.csv", "a.xls", "a"])
def test_a_workbook_is_known_by_its_content(tmp_path: Path, content: bytes, name: str) -> None:
    table = opened(tmp_path / name, content)["train"]
    assert fields(table) == [{"text": "a fine day", "label": "yes"}, {"text": "a dull day", "label": "no"}]
    assert (table.columns, table.headerless) == (("text", "label"), False)
    assert [row.place for row in table.read(None)] == [f"{tmp_path / name}:2", f"{tmp_path / name}:3"]


def test_a_compressed_workbook_is_read(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.xlsx.gz", gzip.compress(xlsx({"S": EXAMPLES})))["train"]
    assert len(fields(table)) == 2
    assert table.format is not None
    assert (table.format.kind, table.format.compression, table.format.sheet) == ("xlsx", "gz", "S")


def test_cells_keep_their_kind(tmp_path: Path) -> None:
    row = ["one", 1, 1.5, True, Date(44000), Date(44000.5), "1", None, Error("#N/A"), 2**60]
    assert the_fields(tmp_path, [[f"text{n}" for n in range(10)], row]) == [
        {
            "text0": "one",
            "text1": 1,
            "text2": 1.5,
            "text3": True,
            "text4": "2020-06-18",
            "text5": "2020-06-18T12:00:00",
            "text6": "1",
            "text7": None,
            "text8": None,
            "text9": 2.0**60,
        }
    ]


def test_errors_of_excel_are_counted(tmp_path: Path) -> None:
    rows = [*EXAMPLES, [Error("#N/A"), "no"], ["x", Error("#DIV/0!")]]
    table = opened(tmp_path / "a.xlsx", xlsx({"S": rows}))["train"]
    assert table.notes == ("2 cells, the first A4, hold errors such as #N/A and count as empty",)


@pytest.mark.parametrize(
    ("above", "notes"),
    [
        ([], ()),
        ([[], []], ()),
        ([["Reviews of 2024"], []], ("row 1 is above the table and left out: 'Reviews of 2024'",)),
    ],
)
def test_a_table_begins_below_blank_rows_and_a_title(tmp_path: Path, above: list[list[str]], notes: tuple[str]) -> None:
    table = opened(tmp_path / "a.xlsx", xlsx({"S": [*above, *EXAMPLES]}))["train"]
    assert fields(table)[0] == {"text": "a fine day", "label": "yes"}
    assert table.notes == notes
    assert [row.row for row in table.read(None) if isinstance(row, Row)] == [len(above) + 2, len(above) + 3]


def test_blank_rows_and_columns_are_left_out(tmp_path: Path) -> None:
    rows = [["", "text", "label", "", ""], [None, "a", "yes", "", ""], [], [None, "b", "no", None, ""]]
    table = opened(tmp_path / "a.xlsx", xlsx({"S": rows}))["train"]
    assert fields(table) == [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}]
    assert table.notes == ("3 columns without a name or a value are left out",)


def test_the_index_that_pandas_writes_is_left_out(tmp_path: Path) -> None:
    rows = [[None, "text", "label"], [0, "a", "yes"], [1, "b", "no"]]
    table = opened(tmp_path / "a.xlsx", xlsx({"S": rows}))["train"]
    assert fields(table) == [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}]
    assert table.notes == ("the first column has no name and counts the rows: it is left out",)


def test_a_sheet_without_a_header_costs_no_row(tmp_path: Path) -> None:
    rows = [["a fine day", "yes"], ["a dull day", "no"], ["a warm soup", "yes"]]
    table = opened(tmp_path / "a.xlsx", xlsx({"S": rows}))["train"]
    assert table.headerless
    assert table.columns == ("column 1", "column 2")
    assert next(row.fields for row in table.read(("text", "label")) if isinstance(row, Row)) == {
        "text": "a fine day",
        "label": "yes",
    }
    assert the_fields(tmp_path, rows, columns=("t", "l"))[2] == {"t": "a warm soup", "l": "yes"}
    assert the_fields(tmp_path, rows, header=True) == [
        {"a fine day": "a dull day", "yes": "no"},
        {"a fine day": "a warm soup", "yes": "yes"},
    ]


def test_sheets_named_after_splits_are_the_splits(tmp_path: Path) -> None:
    tables = opened(tmp_path / "a.xlsx", xlsx({"Train": EXAMPLES, "test set": EXAMPLES[:2], "Notes": [["made by us"]]}))
    assert {split: len(fields(table)) for split, table in tables.items()} == {"train": 2, "test": 1}
    assert tables["train"].notes == ("not read: the sheet 'Notes'",)


def test_the_only_sheet_that_is_a_table_is_read(tmp_path: Path) -> None:
    tables = opened(tmp_path / "a.xlsx", xlsx({"Read me": [["made by us"]], "Sheet2": EXAMPLES, "Sheet3": []}))
    assert len(fields(tables["train"])) == 2
    assert tables["train"].notes == ("not read: the sheet 'Read me'",)


def test_a_hidden_sheet_is_not_meant(tmp_path: Path) -> None:
    tables = opened(tmp_path / "a.xlsx", xlsx({"old": EXAMPLES, "new": EXAMPLES[:2]}, hidden=["old"]))
    assert len(fields(tables["train"])) == 1


def test_several_sheets_are_shown_with_the_line_to_type(tmp_path: Path) -> None:
    content = xlsx({"January": EXAMPLES, "February 2": [["text", "label"], ["rain", "no"]]})
    with pytest.raises(UserError, match="several sheets may be meant") as caught:
        opened(tmp_path / "a.xlsx", content)
    assert "data.sheet=January: text, label (first row: a fine day | yes)" in str(caught.value)
    assert "data.sheet='February 2': text, label (first row: rain | no)" in str(caught.value)
    assert fields(opened(tmp_path / "a.xlsx", content, sheet="February 2")["train"]) == [
        {"text": "rain", "label": "no"}
    ]
    with pytest.raises(UserError, match=r"no sheet 'january'; did you mean 'January'\?"):
        opened(tmp_path / "a.xlsx", content, sheet="january")


def test_a_value_far_away_does_not_fill_the_memory(tmp_path: Path) -> None:
    content = xlsx({"S": EXAMPLES})
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    with zipfile.ZipFile(tmp_path / "far.xlsx", "w") as archive, zipfile.ZipFile(_saved(tmp_path, content)) as near:
        for name in near.namelist():
            archive.writestr(name, near.read(name).decode().replace("</sheetData>", far))
    with pytest.raises(UserError, match="value in cell XFD1048576, far from the others"):
        open_file(tmp_path / "far.xlsx", FileSettings())


def _saved(folder: Path, content: bytes) -> Path:
    (folder / "near.xlsx").write_bytes(content)
    return folder / "near.xlsx"


BAD = {
    "empty": (xlsx({"S": []}), "the workbook is empty"),
    "two columns of one name": (xlsx({"S": [["text", "text"], ["a", "b"]]}), "a.xlsx:1: two columns are named 'text'"),
    "cut": (xlsx({"S": EXAMPLES})[:-30], "damaged"),
    "an old Office file that is no workbook": (
        bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600),
        "not a readable workbook",
    ),
    "a Word document": (
        workbooks.zipped({"[Content_Types].xml": "<x/>", "word/document.xml": "<x/>"}),
        "a Word document",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_workbook_without_a_table_is_the_users_error(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    with pytest.raises(UserError) as caught:
        opened(tmp_path / "a.xlsx", content)
    assert message in str(caught.value)


@pytest.mark.parametrize("write", [xlsx, ods])
@SETTINGS
@given(rows=st.lists(st.tuples(TEXTS, CELLS, CELLS), min_size=1, max_size=5))
def test_any_table_is_read_as_written(tmp_path: Path, write: object, rows: list[tuple[object, ...]]) -> None:
    if (
        write is ods
    ):  # OpenDocument keeps runs of spaces in elements of their own, which this small writer does not make
        rows = [tuple(" ".join(cell.split()) or "x" if isinstance(cell, str) else cell for cell in row) for row in rows]
    content = write({"S": [["text", "label", "score"], *rows]})  # type: ignore[operator]
    read = fields(opened(tmp_path / "a.xlsx", content, header=True)["train"])
    assert read == [dict(zip(("text", "label", "score"), row, strict=True)) for row in rows]
    assert [type(row["label"]) for row in read] == [type(row[1]) for row in rows]
