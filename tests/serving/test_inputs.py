"""What `predict --input` reads: which column is the text, tables of label tools, several splits, and what is noted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feathertune.data.formats.format import FileFormat, FileSettings, Roles, Table
from feathertune.data.rows import BadRow, Row
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection
from feathertune.serving.inputs import Example, input_of, open_input

LONG, OTHER = "the cat can sing a song", "a red moon over the sea"
TRAINED = DataSection(source="x", text="query")


def table_of(rows: list[dict[str, object]], **more: Any) -> Table:
    def read(names: tuple[str, ...] | None) -> Iterator[Row | BadRow]:
        for number, row in enumerate(rows, 1):
            fields = row if names is None else dict(zip(names, row.values(), strict=True))
            yield Row(f"x.csv:{number}", number, fields)

    return Table("x.csv", "x.csv", read, **{"fixed_columns": True, **more})


def examples(*tables: Table, column: str | None = None, trained: DataSection = TRAINED) -> list[Example]:
    named = dict(zip(("train", "test"), tables, strict=False))
    return list(input_of("x.csv", named, [], column, trained).read())


@pytest.mark.parametrize(
    ("row", "trained", "text"),
    [
        ({"text": LONG, "query": OTHER}, "query", OTHER),
        ({"text": LONG, "tweet": OTHER}, "query", LONG),
        ({"id": "1", "Review": LONG, "label": "yes"}, "query", LONG),
        ({"only": "yes"}, "query", "yes"),
        ({"Sentence": LONG, "answer": OTHER}, "query", LONG),
        ({"title": "a", "body": "b", "text": LONG}, ("title", "body"), "a\nb"),
        ({"title": "a", "body": None, "text": LONG}, ("title", "body"), "a"),
        ({"title": "a", "text": LONG}, ("title", "body"), LONG),
        ({"text": LONG, "n": 1}, None, LONG),
    ],
)
def test_the_text_is_the_column_of_training_or_text_or_what_looks_like_one(
    row: dict[str, object], trained: Any, text: str
) -> None:
    rows = [row, {name: f"{value} indeed" if isinstance(value, str) else value for name, value in row.items()}]
    found = examples(table_of(rows), trained=DataSection(source="x", text=trained))
    assert (found[0].text, found[0].problem) == (text, None)


@pytest.mark.parametrize("row", [{"a": LONG, "b": OTHER}, {"a": "yes", "b": "no"}, {"a": "1", "b": "2"}])
def test_what_is_not_clear_is_not_guessed(row: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"there is no column 'query' \(the columns are 'a', 'b'\)\n  Name the column"):
        examples(table_of([row]))


def test_a_kind_of_file_may_say_which_column_is_the_text() -> None:
    table = table_of([{"message": "hi", "b": OTHER}], roles=Roles("message", "b"))
    assert examples(table) == [Example(1, "x.csv:1", "hi", {"b": OTHER})]


def test_columns_without_a_header_are_named_as_in_training() -> None:
    trained = DataSection(source="x", text="content", label=LabelSection(rating="rating", above=0.5))
    table = table_of([{"column 1": LONG, "column 2": "0.5"}], format=FileFormat("csv", header=False))
    opened = input_of("x.csv", {"train": table}, [], None, trained)
    assert list(opened.read()) == [Example(1, "x.csv:1", LONG, {"rating": "0.5"})]
    assert opened.columns == ("rating",)
    swapped = table_of([{"column 1": "0.5", "column 2": LONG}], format=FileFormat("csv", header=False))
    assert examples(swapped, trained=trained) == [Example(1, "x.csv:1", LONG, {"rating": "0.5"})]
    assert examples(table, trained=trained, column="column 1") == [Example(1, "x.csv:1", LONG, {"column 2": "0.5"})]


def test_all_texts_of_a_label_tool_are_predicted_labelled_or_not() -> None:
    """Label Studio, Argilla and Prodigy: `read` has only what teaches something."""
    records: list[dict[str, object]] = [
        {"id": 7, "data": {"text": "a", "n": 1}, "annotations": []},
        {"id": "x", "fields": {"text": "b"}, "responses": {}, "status": "pending"},
        {"text": "c", "answer": "reject", "label": "yes", "spans": []},
        {"id": 8, "data": {}},
    ]
    rows = [Row(f"x.json:{number}", number, record) for number, record in enumerate(records, 1)]
    table = table_of([], roles=Roles("_data_text", "label"), records=lambda: iter(rows))
    found = examples(table)
    assert [(one.text, one.fields) for one in found] == [
        ("a", {"id": 7, "n": 1}),
        ("b", {"id": "x"}),
        ("c", {"answer": "reject", "label": "yes"}),
        (None, {}),
    ]
    assert [one.problem is None for one in found] == [True, True, True, False]


def test_a_tool_whose_records_are_no_texts_has_the_texts_of_its_rows() -> None:
    """Dialogflow's are parts to be joined."""
    records = [Row("x.json:1", 1, {"id": "7", "data": [{"text": "a "}, {"text": "b"}]})]
    table = table_of([{"text": "a b"}], roles=Roles("text", "label"), records=lambda: iter(records))
    assert [one.text for one in examples(table)] == ["a b"]


LABEL_STUDIO = [
    {"id": 1, "data": {"review": "the cat can sing"}, "annotations": []},
    {"id": 2, "data": {"review": "a red moon"}, "annotations": [{"was_cancelled": True, "result": []}]},
]
PRODIGY = [
    {"text": "the cat can sing", "answer": "ignore", "label": "A"},
    {"text": "a red moon", "answer": "reject", "label": "A"},
]
DOCCANO = [{"id": 1, "text": "the cat can sing", "label": []}, {"id": 2, "text": "a red moon", "label": ["A"]}]
ARGILLA = [
    {"id": str(number), "status": "pending", "fields": {"text": text}, "metadata": {}, "responses": {}}
    for number, text in enumerate(["the cat can sing", "a red moon"])
]


@pytest.mark.parametrize(
    "export", [LABEL_STUDIO, PRODIGY, DOCCANO, ARGILLA], ids=["ls", "prodigy", "doccano", "argilla"]
)
@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_exports_without_labels_are_predicted_whole(tmp_path: Path, export: list[dict[str, Any]], name: str) -> None:
    lines = name.endswith("l")
    content = "\n".join(map(json.dumps, export)) if lines else json.dumps(export)
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = list(open_input(tmp_path / name, FileSettings(), None, TRAINED).read())
    assert [(one.text, one.problem) for one in found] == [("the cat can sing", None), ("a red moon", None)]
    assert [one.fields.get("id") for one in found] == [one.get("id") for one in export]


def test_several_splits_are_one_input_with_a_column_that_names_them() -> None:
    first, second = table_of([{"query": "a", "n": 1}]), table_of([{"query": "b", "m": 2}])
    opened = input_of("x.csv", {"train": first, "test": second}, [], None, TRAINED)
    assert opened.columns == ("split", "n", "m")
    assert [(one.text, one.fields) for one in opened.read()] == [
        ("a", {"split": "train", "n": 1}),
        ("b", {"split": "test", "m": 2}),
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "the text is empty"), (" \n", "the text is empty"), (5, "the query is not a text but 5")],
)
def test_a_row_without_a_text_is_a_problem_and_keeps_its_fields(value: object, reason: str) -> None:
    (found,) = examples(table_of([{"query": value, "n": 1}]))
    assert found.problem is not None
    assert (found.problem.reason, found.fields["n"]) == (reason, 1)


@pytest.mark.parametrize(
    ("place", "number"), [("x.csv:12", 12), ("x.csv:40, row 12", 12), ("x.csv", 2)], ids=["line", "row", "none"]
)
def test_a_bad_row_has_its_number(place: str, number: int) -> None:
    bad: list[Row | BadRow] = [Row("x.csv:1", 1, {"query": "a"}), BadRow(place, "bad", "Try data.escape=x")]
    table = Table("x.csv", "x.csv", lambda _: iter(bad), fixed_columns=True)
    found = examples(table)[1]
    assert (found.row, found.text, found.problem) == (number, None, ("bad", "Try --read escape=x"))


def test_a_file_read_otherwise_than_its_name_says_is_noted() -> None:
    class Found(FileFormat):
        def sentence(self) -> str:
            return f"read as: {self.kind}, `{self.separator}` separated"

    for form, noted in ((Found("csv", ";"), True), (Found("csv", ",", '"', header=True), False), (Found("tsv"), True)):
        opened = input_of("x.csv", {"train": table_of([{"query": "a"}], format=form)}, [], None, TRAINED)
        assert opened.notes == ([f"x.csv: read as: {form.kind}, `{form.separator}` separated"] if noted else [])


def test_values_keep_their_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "n": [1], "x": [0.5], "ok": [True]}), tmp_path / "x.parquet")
    opened = open_input(tmp_path / "x.parquet", FileSettings(), None, TRAINED)
    assert [one.fields for one in opened.read()] == [{"n": 1, "x": 0.5, "ok": True}]
    assert opened.typed
