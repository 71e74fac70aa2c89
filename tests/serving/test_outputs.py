"""What is written: names that clash, values of every type, and rows without a prediction, in each format."""

import csv
import gzip
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feathertune.serving.inputs import Example, Input
from feathertune.serving.output_files import write_file
from feathertune.serving.outputs import Answer, Columns, write_answers
from feathertune.serving.parquet_output import survey
from feathertune.serving.predictor import Prediction

CLASSES = ("no", "yes")
YES = Prediction("a cat", "yes", 0.75, {"no": 0.25, "yes": 0.75})


def written(answers: list[Answer], kept: tuple[str, ...] | None, kind: Any) -> tuple[str, Columns]:
    columns, out = Columns.of(CLASSES, kept, kind), io.StringIO()
    assert write_answers(answers, columns, out, kind) == len(answers)
    return out.getvalue(), columns


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        (("id", "date"), ["id", "date"]),
        (("label", "id", "score"), ["input_label", "id", "input_score"]),
        (("row", "text", "probability_no"), ["input_row", "input_text", "input_probability_no"]),
        (("label", "input_label"), ["input_input_label", "input_label"]),
        (("input_label", "label"), ["input_label", "input_input_label"]),
    ],
)
def test_columns_of_the_prediction_have_the_same_names_whatever_the_input_has(
    kept: tuple[str, ...], names: list[str]
) -> None:
    fields: dict[str, object] = {name: name.upper() for name in kept}
    content, columns = written([Answer(1, "a cat", YES, fields)], kept, "csv")
    (row,) = csv.DictReader(io.StringIO(content))
    assert list(row) == ["row", "text", "label", "score", "probability_no", "probability_yes", *names]
    assert list(row.values()) == ["1", "a cat", "yes", "0.75", "0.25", "0.75", *(name.upper() for name in kept)]
    assert len(columns.notes()) == len(set(names) - set(kept))


def test_each_row_of_json_lines_has_the_fields_of_its_own() -> None:
    answers = [Answer(1, "a cat", YES, {"label": "no"}), Answer(2, "a cat", YES, {"input_label": 1, "n": [1, None]})]
    first, second = map(json.loads, written(answers, None, "jsonl")[0].splitlines())
    own = {"text": "a cat", "label": "yes", "score": 0.75, "probabilities": {"no": 0.25, "yes": 0.75}}
    assert first == {"row": 1, **own, "input_label": "no"}
    assert second == {"row": 2, **own, "input_input_label": 1, "n": [1, None]}


def test_a_row_without_a_prediction_is_empty_in_csv_and_null_in_json() -> None:
    bad = [Answer(2, None, None, {}), Answer(3, " ", None, {"id": 7})]
    assert written(bad, ("id",), "csv")[0].splitlines()[1:] == ["2,,,,,,", "3, ,,,,,7"]
    empty = {"label": None, "score": None, "probabilities": None}
    assert json.loads(written(bad, ("id",), "json")[0]) == [
        {"row": 2, "text": None, **empty, "id": None},
        {"row": 3, "text": " ", **empty, "id": 7},
    ]


@pytest.mark.parametrize(
    ("value", "in_csv", "in_json"),
    [
        ("NA", "NA", "NA"),
        (None, "", None),
        (True, "true", True),
        (3, "3", 3),
        (0.1, "0.1", 0.1),
        (float("nan"), "nan", None),
        (Decimal("1.50"), "1.50", "1.50"),
        (["a", 1], '["a", 1]', ["a", 1]),
        ({"a": float("inf")}, '{"a": null}', {"a": None}),
        ("two\rlines", "two\rlines", "two\rlines"),
    ],
)
def test_values_of_kept_columns(value: object, in_csv: str, in_json: object) -> None:
    answer = Answer(1, "a cat", YES, {"kept": value})
    (row,) = csv.DictReader(io.StringIO(written([answer], ("kept",), "csv")[0], newline=""))
    assert row["kept"] == in_csv
    for kind in ("json", "jsonl"):
        found = json.loads(written([answer], ("kept",), kind)[0])
        assert (found[0] if kind == "json" else found)["kept"] == in_json


def test_a_csv_stream_has_the_columns_of_its_first_row_and_says_which_came_later() -> None:
    answers = [Answer(1, "a cat", YES, {"n": 1}), Answer(2, "a cat", YES, {"m": 2}), Answer(3, "a cat", YES, {})]
    content, columns = written(answers, None, "csv")
    assert [row["n"] for row in csv.DictReader(io.StringIO(content))] == ["1", "", ""]
    assert columns.notes() == ["columns that the first row has not are left out: 'm' (--format jsonl keeps them)"]


def test_parquet_has_types(tmp_path: Path) -> None:
    fields: list[dict[str, object]] = [
        {"flag": True, "n": 1, "x": 1, "mixed": 1, "tags": ["a"], "ids": [1], "object": {"a": 1}, "big": 2**64},
        {"flag": None, "n": 2, "x": 0.5, "mixed": "b", "tags": [], "ids": None, "label": "gold", "none": None},
    ]
    examples = [Example(number, f"x:{number}", "a cat", one) for number, one in enumerate(fields, 1)]
    types = survey(Input("x", lambda: iter(examples)))
    answers = [Answer(1, "a cat", YES, fields[0]), Answer(2, None, None, fields[1])]
    output = tmp_path / "out.parquet"
    write_file(iter(answers), Columns.of(CLASSES, tuple(types), "parquet"), output, "parquet", types)
    table = pq.read_table(output)
    string, double = pa.string(), pa.float64()
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        "row": pa.int64(),
        "text": string,
        "label": string,
        "score": double,
        "probability_no": double,
        "probability_yes": double,
        "flag": pa.bool_(),
        "n": pa.int64(),
        "x": double,
        "mixed": string,
        "tags": pa.list_(string),
        "ids": pa.list_(pa.int64()),
        "object": string,
        "big": string,
        "input_label": string,
        "none": string,
    }
    first, second = table.to_pylist()
    assert (first["label"], first["score"], first["probability_no"]) == ("yes", 0.75, 0.25)
    assert (first["x"], first["mixed"], first["tags"], first["object"]) == (1.0, "1", ["a"], '{"a": 1}')
    assert first["big"] == "18446744073709551616"
    assert (second["row"], second["text"], second["label"], second["score"]) == (2, None, None, None)
    assert (second["mixed"], second["tags"], second["input_label"]) == ("b", [], "gold")


def test_an_output_whose_name_ends_in_gz_is_compressed(tmp_path: Path) -> None:
    output = tmp_path / "out.csv.gz"
    write_file(iter([Answer(1, "a cat", YES, {})]), Columns.of(CLASSES, (), "csv"), output, "csv", {})
    with gzip.open(output, "rt", encoding="utf-8") as file:
        assert file.read().splitlines()[1] == "1,a cat,yes,0.75,0.25,0.75"


def test_an_error_on_the_way_leaves_the_old_file(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    output.write_bytes(b"old")

    def failing() -> Any:
        yield Answer(1, "a cat", YES, {})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_file(failing(), Columns.of(CLASSES, (), "parquet"), output, "parquet", {})
    assert (output.read_bytes(), list(tmp_path.iterdir())) == (b"old", [output])
