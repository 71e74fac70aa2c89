"""Tables as programs and people really write them: what is around the rows is no row, and no text is cut in silence."""

import subprocess
from pathlib import Path

import pytest

from feathertune.data.formats.format import FileSettings, Table
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError
from feathertune.recipe.files import parse_recipe

ROWS = [(f"a fine day {number}", ("yes", "no")[number % 2]) for number in range(12)]


def table(tmp_path: Path, content: str, name: str = "a.csv") -> Table:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    return open_file(path, FileSettings()).tables["train"]


def rows_of(one: Table) -> list[tuple[object, ...]]:
    return [tuple(row.fields.values()) for row in one.read(None) if isinstance(row, Row)]


def bad_rows_of(one: Table) -> list[BadRow]:
    return [row for row in one.read(None) if isinstance(row, BadRow)]


def lines(separator: str, *, end: str = "", start: str = "") -> str:
    return "".join(f"{start.format(number)}{separator.join(row)}{end}\n" for number, row in enumerate(ROWS))


BODY = lines(",")
MESSY = {
    "Excel's separator": ("sep=;\n" + "text;label\n" + lines(";"), "a.csv"),
    "Excel's separator in quotes": ('"sep=;"\r\n' + "text;label\n" + lines(";"), "a.csv"),
    "Excel's separator, a tab": ("sep=\t\r\n" + "text\tlabel\n" + lines("\t"), "a.csv"),
    "a title and an empty row": ("Export of May,\n,\ntext,label\n" + BODY, "a.csv"),
    "a title and a blank line": ("Export of May,\n\ntext,label\n" + BODY, "a.csv"),
    "two titles as rows": ("Export of May,\nby Ann,\n,\ntext,label\n" + BODY, "a.csv"),
    "a title as a row": ("Export of May,\ntext,label\n" + BODY, "a.csv"),
    "titles and rows of separators alone": ("Export of May,\n,\nShop 5,\n\n,\ntext,label\n" + BODY, "a.csv"),
    "a row of separators alone": (",\n" + "text,label\n" + BODY, "a.csv"),
    "a title, then rows of separators alone": ("Export of May\n,\n,\ntext,label\n" + BODY, "a.csv"),
    "a title of two lines": ('"Export\nof May",\n,\ntext,label\n' + BODY, "a.csv"),
    "separators behind all rows but the header": ("text,label\n" + lines(",", end=",,"), "a.csv"),
    "separators behind all rows": ("text,label,,\n" + lines(",", end=",,"), "a.csv"),
    "an index": (",text,label\n" + lines(",", start="{0},"), "a.csv"),
    "an index from another number on": (",text,label\n" + lines(",", start="1{0},"), "a.csv"),
    "an index in another order": (",text,label\n7,a fine day 0,yes\n2,a fine day 1,no\n4,a fine day 2,yes\n", "a.csv"),
    "an index of pandas, saved twice": ("Unnamed: 0,text,label\n" + lines(",", start="{0},"), "a.csv"),
    "R's names of rows": (
        '"text"\t"label"\n' + "".join(f'"{n}"\t"{text}"\t"{label}"\n' for n, (text, label) in enumerate(ROWS, 1)),
        "a.tsv",
    ),
    "a commented header": ("#text\tlabel\n" + lines("\t"), "a.tsv"),
    "comments before the table": ("# CC-BY 4.0\n# of 2024\ntext,label\n" + BODY, "a.csv"),
}


@pytest.mark.parametrize("case", MESSY)
def test_what_is_around_the_rows_is_no_row(tmp_path: Path, case: str) -> None:
    content, name = MESSY[case]
    one = table(tmp_path, content, name)
    assert bad_rows_of(one) == []
    assert one.columns == ("text", "label")
    assert rows_of(one) == ROWS[: len(rows_of(one))]
    assert len(rows_of(one)) == (3 if case == "an index in another order" else 12)


def test_columns_that_are_left_out_are_named(tmp_path: Path) -> None:
    one = table(tmp_path, ",text,label,\n" + lines(",", start="{0},", end=","))
    (note,) = one.notes
    assert "column 1, which has no name and counts the rows" in note
    assert "column 4, which has no name and is empty" in note


@pytest.mark.parametrize("filler", [12, 120_000])  # in the part that is looked at, or long after it
def test_text_in_a_column_that_is_left_out_is_a_bad_row_and_not_lost(tmp_path: Path, filler: int) -> None:
    good = "".join(f"ham,see you at {number},,\n" for number in range(filler))
    one = table(tmp_path, "v1,v2,,\n" + good + 'ham,"well, yes", and no,\n')
    (bad,) = bad_rows_of(one)
    assert bad.place.endswith(f":{filler + 2}")
    assert "a separator in a text without quotes" in bad.reason


def test_a_column_without_a_name_that_holds_something_is_kept(tmp_path: Path) -> None:
    one = table(tmp_path, "text,,label\n" + "".join(f"{text},{label * 2},{label}\n" for text, label in ROWS))
    assert one.columns == ("text", "column 2", "label")
    assert rows_of(one)[0] == ("a fine day 0", "yesyes", "yes")


def test_the_only_column_has_whole_lines_where_nothing_is_quoted(tmp_path: Path) -> None:
    sentences = [f"well, it was a fine, loud day {number}" for number in range(6)]
    one = table(tmp_path, "text\n" + "".join(f"{sentence}\n" for sentence in sentences))
    assert rows_of(one) == [(sentence,) for sentence in sentences]
    assert one.format is not None
    assert one.format.sentence() == "read as: csv, with a header, UTF-8"
    quoted = table(tmp_path, "text\n" + "".join(f'"{sentence}"\n' for sentence in sentences))
    assert rows_of(quoted) == [(sentence,) for sentence in sentences]


def test_single_quotes_only_where_they_are_needed(tmp_path: Path) -> None:
    texts = ["well, no", "fine", "it's dull, isn't it", "'tis so", "no"] * 3
    content = "text,label\n" + "".join(
        ("'" + text.replace("'", "''") + "'" if "," in text or "'" in text else text) + ",x\n" for text in texts
    )
    assert rows_of(table(tmp_path, content)) == [(text, "x") for text in texts]


def test_apostrophes_are_no_quotes(tmp_path: Path) -> None:
    texts = ["'tis nice", "it's so", "the boys'", "rock 'n' roll", "'quoted' word"] * 3
    for separator in ",\t;":
        content = f"text{separator}label\n" + "".join(f"{text}{separator}x\n" for text in texts)
        assert rows_of(table(tmp_path, content)) == [(text, "x") for text in texts]


@pytest.mark.parametrize(("separator", "typed"), [("\t", "tab"), ("|", "'|'"), (",", "','"), ("\x01", "$'\\x01'")])
def test_two_readings_come_with_lines_that_can_be_typed(tmp_path: Path, separator: str, typed: str) -> None:
    other = ";"
    content = "".join(f"day{number}{separator}a{other}b\n" for number in range(9))
    with pytest.raises(UserError, match="the rows can be read in two ways") as caught:
        table(tmp_path, content)
    assert f"data.separator={typed}" in str(caught.value)
    shell = subprocess.run(
        ["bash", "-c", f"printf %s data.separator={typed}"], capture_output=True, text=True, check=True
    )
    recipe = parse_recipe("model: {source: a}\ndata: {source: b}\n", [shell.stdout], where="here")
    assert recipe.data.separator == separator


def test_quotes_that_come_further_down_are_marks_but_in_a_tsv(tmp_path: Path) -> None:
    filler, last = "".join(f"a fine day {number}{{0}}yes\n" for number in range(60_000)), '"he said ""no"""{0}no\n'
    for separator in ",;|":
        one = table(tmp_path, f"text{separator}label\n" + (filler + last).format(separator))
        assert rows_of(one)[-1] == ('he said "no"', "no")
    one = table(tmp_path, "text\tlabel\n" + (filler + last).format("\t"))
    assert rows_of(one)[-1] == ('"he said ""no"""', "no")
