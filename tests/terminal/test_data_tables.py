"""The tables of `inspect data`: nothing that is read or copied as one piece is broken, however narrow the terminal."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from feathertune.folders.inputs import (
    BadRows,
    DataRecord,
    ReadAs,
    Remark,
    RepeatedText,
    ShownExample,
    SplitRecord,
    Spread,
)
from feathertune.terminal.data_tables import print_data, render

LONG = "customer_feedback_of_the_second_quarter_final.csv"
LABELS = ("yes", "a label that goes on for much longer than anyone would like", "日本" * 20, "YES ")
FIX = "'data.label={rating: a column with a long name of many words, at_least: 4}' makes two classes of them"


@pytest.fixture
def record() -> DataRecord:
    spread = Spread(min=1, median=123456.5, p95=1234567.25, max=2345678)
    places = tuple(f"{LONG}:{row}" for row in (3, 45, 678, 1234567))
    split = SplitRecord(
        count=1_000_000,
        characters=spread,
        tokens=spread,
        labels=dict.fromkeys(LABELS, 250_000),
        ratings=None,
        duplicates=123_456,
        conflicts=12_345,
        duplicate_examples=(RepeatedText(text="twice " * 30, places=places, labels=LABELS),),
        examples=tuple(
            ShownExample(place=f"{LONG}:{row}", label=label, rating=0.123456, text="word " * 40)
            for row, label in enumerate(LABELS, start=999_990)
        ),
    )
    short = split.model_copy(update={"duplicate_examples": (), "duplicates": 0})
    return DataRecord(
        source=LONG,
        origin={"files": {LONG: "f" * 64}},
        label_names=LABELS,
        splits={"train": split, "validation": short, "test": short},
        leaks=(),
        bad_rows=BadRows(count=0, listed=()),
        notes=(),
        read_as={LONG: ReadAs(sentence="read as: csv, comma separated, with a header, UTF-8", kind="csv")},
        remarks=(Remark(kind="order", text="the labels have an order", fix=FIX),),
    )


def lines_of(record: DataRecord, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    print_data(console, record)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100])
def test_places_labels_and_numbers_are_in_one_piece(record: DataRecord, width: int) -> None:
    lines = lines_of(record, width)
    shown = "\n".join(lines)
    assert max(cell_len(line) for line in lines if line[:1] in "┏┃┡│└") <= width
    pieces = ["1,000,000", "2,345,678", "123,456", "250,000 (25.0%)", "│ validation │", "'YES '", f"  {FIX}"]
    pieces += ["customer_fe…er_final.csv:3 ", "customer…final.csv:1234567 ", "customer_…final.csv:999990 "]
    pieces += ["│ a label tha…e would like │", "│ a labe…d like (0.123456) │", "日本日…本日本 (0.123456)"]
    assert [piece for piece in pieces if piece not in shown] == []


def test_a_notebook_shows_everything_too(record: DataRecord) -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(render(record))
    assert isinstance(console.file, io.StringIO)
    assert FIX in " ".join(console.file.getvalue().split())


def test_places_of_one_file_share_a_line(record: DataRecord) -> None:
    split = record.splits["train"]
    places = (*(f"train.tsv:{row}" for row in (3, 4, 7, 123456, 123457)), "a b.tsv:1")
    repeated = RepeatedText(text="twice", places=places, labels=("yes", "no", "yes"))
    changed = split.model_copy(update={"duplicate_examples": (repeated,)})
    lines = lines_of(record.model_copy(update={"splits": {"train": changed}}), 80)
    start = next(index for index, line in enumerate(lines) if "train.tsv:3, 4, 7, 123456" in line)
    assert ["yes" in lines[start], "no" in lines[start + 1], "a b.tsv:1" in lines[start + 2]] == [True, True, True]
    assert "train.tsv:123457" in lines[start + 1]


def test_what_was_found_is_said_in_lines_of_their_own(record: DataRecord) -> None:
    lines = lines_of(record, 100)
    assert f"{LONG} read as: csv, comma separated, with a header, UTF-8" in lines
    assert lines[lines.index("Warning: the labels have an order") + 1] == f"  {FIX}"
