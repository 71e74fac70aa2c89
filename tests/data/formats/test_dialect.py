"""Separators, quotes and escapes are found; where two readings are plausible, none is chosen."""

from pathlib import Path

import pytest

from feathertune.data.formats.dialect import Dialect, find_dialects
from feathertune.data.formats.format import FileSettings
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError

NOTHING: dict[str, str | None] = {"separator": None, "quote": None, "escape": None}


def dialects(text: str, suffix: str = ".csv") -> list[Dialect]:
    return [fit.dialect for fit in find_dialects(text.splitlines(keepends=True), suffix, NOTHING)]


def fields(path: Path, content: str, **settings: str) -> list[list[object]]:
    path.write_text(content, encoding="utf-8", newline="")
    table = open_file(path, FileSettings(**settings)).tables["train"]  # type: ignore[arg-type]
    return [list(row.fields.values()) for row in table.read(None) if isinstance(row, Row)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a fine day,yes\n", Dialect(",")),
        ("a fine day\tyes\n", Dialect("\t", None)),
        ("a fine day;yes\n", Dialect(";")),
        ("so, well, yes|yes\n", Dialect("|")),
        ("a fine day^yes\n", Dialect("^")),
        ("fine; well,yes,1\n", Dialect(",")),
        ("a fine day;yes;1,5\n", Dialect(";")),  # a decimal comma
        ("'it\\'s a, b','yes'\n", Dialect(",", "'", "\\")),
        ('"a \\"b\\", c","yes"\n', Dialect(",", '"', "\\")),
        ('"a ""b"" c"\tyes\n', Dialect("\t", '"')),
        ('"a fine day"\t"yes"\n', Dialect("\t", '"')),
        ('he said "hi"\tyes\n', Dialect("\t", None)),
    ],
)
def test_each_dialect_is_found(line: str, found: Dialect) -> None:
    header = {",": "text,label\n", ";": "text;label;score\n"}.get(found.separator, "") if line.count(",") < 2 else ""
    separated = header if header.count(found.separator) == line.count(found.separator) else ""
    assert dialects(separated + line * 12) == [found]


def test_a_stray_quote_does_not_make_all_quotes_characters(tmp_path: Path) -> None:
    rows = ['"text","label"', *(f'"row {n}","{n % 2}"' for n in range(30)), '"stray,"0"', '"last","1"']
    path = tmp_path / "a.csv"
    path.write_text("\n".join(rows) + "\n")
    read = list(open_file(path, FileSettings()).tables["train"].read(None))
    assert [row.fields["text"] for row in read if isinstance(row, Row)][:2] == ["row 0", "row 1"]
    assert [row.place for row in read if isinstance(row, BadRow)][:1] == [f"{path}:32"]


def test_quotes_that_a_writer_put_only_where_they_are_needed_are_undone(tmp_path: Path) -> None:
    rows = ["text\tlabel", *(f"row {n}\tyes" for n in range(2000)), '"he said ""no"" to me"\tno']
    assert fields(tmp_path / "a.tsv", "\n".join(rows))[-1] == ['he said "no" to me', "no"]


def test_quotes_in_messages_stay(tmp_path: Path) -> None:
    content = 'ham\t"See you" she wrote\nspam\t"Free" prizes!\nham\t"open\nspam\tcall now\n'
    assert fields(tmp_path / "SMSSpamCollection", content)[0] == ["ham", '"See you" she wrote']


def test_two_readings_are_shown_with_the_lines_to_type(tmp_path: Path) -> None:
    content = "good|really,yes\nbad|really,no\nfine|really,yes\n"
    with pytest.raises(UserError) as caught:
        fields(tmp_path / "a.csv", content)
    assert "[good|really | yes], [bad|really | no]" in str(caught.value)
    assert "[good | really,yes], [bad | really,no]" in str(caught.value)
    assert "data.separator=',' or data.separator='|'" in str(caught.value)
    assert fields(tmp_path / "a.csv", content, separator=",")[1] == ["bad|really", "no"]
    assert fields(tmp_path / "a.csv", content, separator="|")[1] == ["bad", "really,no"]


@pytest.mark.parametrize("line", ["Well, it came late.\n", "Late; but it came.\n", "It came late.\n"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_punctuation_makes_no_columns_of_plain_text(tmp_path: Path, line: str, count: int) -> None:
    assert fields(tmp_path / "a.txt", line * count) == [[line.strip()]] * count


def test_spaces_after_separators_are_no_part_of_the_fields(tmp_path: Path) -> None:
    content = 'text, label\n"a, b", yes\nc, no\n'
    assert fields(tmp_path / "a.csv", content) == [["a, b", "yes"], ["c", "no"]]


def test_backslashes_that_escape_nothing_stay(tmp_path: Path) -> None:
    content = 'text,label\n"he said \\"no\\", in C:\\new",yes\n'
    content += '"a \\\\ b, \\"c\\"",no\n'
    assert fields(tmp_path / "a.csv", content) == [['he said "no", in C:\\new', "yes"], ['a \\ b, "c"', "no"]]


def test_escaped_quotes_are_undone_in_fields_without_quotes(tmp_path: Path) -> None:
    content = 'text\tlabel\na \\"b\\" c\tyes\nd\tno\n'
    assert fields(tmp_path / "a.tsv", content) == [['a "b" c', "yes"], ["d", "no"]]
