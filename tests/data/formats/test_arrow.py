"""Parquet, Arrow and Feather files as pyarrow, pandas and datasets write them."""

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather

from feathertune.data.formats import arrow_rows
from feathertune.data.formats.format import FileSettings
from feathertune.data.formats.opening import open_file
from feathertune.data.rows import Row
from feathertune.errors import UserError

SETTINGS = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def write_file(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "parquet": lambda table, path: pq.write_table(table, path),
    "arrow stream": write_stream,
    "arrow file": write_file,
    "feather": lambda table, path: feather.write_feather(table, str(path), compression="zstd"),
}


def fields(path: Path) -> list[dict[str, object]]:
    table = open_file(path, FileSettings()).tables["train"]
    return [row.fields for row in table.read(None) if isinstance(row, Row)]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.csv", "a"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_is_known_by_its_content(
    tmp_path: Path, writer: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_rows, "BATCH_ROWS", 3)
    rows = [{"text": f"text {index}", "label": index % 2} for index in range(8)]
    WRITERS[writer](pa.Table.from_pylist(rows), tmp_path / name)
    table = open_file(tmp_path / name, FileSettings()).tables["train"]
    read = list(table.read(None))
    assert [row.fields for row in read if isinstance(row, Row)] == rows
    assert read[7].place == f"{tmp_path / name}:8"
    assert table.columns == ("text", "label")
    assert table.format is not None
    assert table.format.kind == ("parquet" if writer == "parquet" else "arrow")


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert fields(tmp_path / "a.parquet.gz") == [{"text": "a", "label": 0}, {"text": "b", "label": 1}]


def test_lists_dictionaries_nulls_and_numbers_keep_their_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None], pa.large_string()),
            "labels": [["x", "y"], []],
            "ids": pa.array([[1], None], pa.list_(pa.int8())),
            "label": pa.array(["no", "yes"]).dictionary_encode(),
            "score": [1.0, None],
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)),
            "vector": pa.array([[0.5], [0.25]], pa.list_(pa.float32(), 1)),
            "when": pa.array([0, 1], pa.timestamp("s")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert fields(tmp_path / "a.parquet") == [
        {"text": "a", "labels": ["x", "y"], "ids": [1], "label": "no", "score": 1.0, "price": Decimal("1.50")},
        {"text": None, "labels": [], "ids": None, "label": "yes", "score": None, "price": None},
    ]


def test_objects_become_columns_and_pictures_are_left_out(tmp_path: Path) -> None:
    rows = [{"review": {"text": "a", "stars": 5}, "label": "x", "picture": {"bytes": b"\0", "path": "a.png"}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    table = open_file(tmp_path / "a.parquet", FileSettings()).tables["train"]
    assert fields(tmp_path / "a.parquet") == [{"review.text": "a", "review.stars": 5, "label": "x"}]
    assert table.columns == ("review.text", "review.stars", "label")


def test_the_integers_of_a_class_label_become_its_names(tmp_path: Path) -> None:
    names = ClassLabel(names=["bad", "good"])
    features = Features({"text": Value("string"), "label": names, "tags": List(names)})
    data = Dataset.from_dict({"text": ["a", "b"], "label": [1, -1], "tags": [[0, 1], []]}, features=features)
    pq.write_table(data.data.table, tmp_path / "a.parquet")
    write_stream(data.data.table, tmp_path / "data-00000-of-00001.arrow")  # what save_to_disk writes
    expected = [{"text": "a", "label": "good", "tags": ["bad", "good"]}, {"text": "b", "label": None, "tags": []}]
    assert fields(tmp_path / "a.parquet") == expected
    assert fields(tmp_path / "data-00000-of-00001.arrow") == expected


@pytest.mark.parametrize("metadata", [b"", b"[]", b"{}", b'{"info": {"features": {"label": 3}}}', b"\xff"])
def test_metadata_of_another_kind_says_nothing(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert fields(tmp_path / "a.parquet") == [{"text": "a", "label": 1}]


def test_two_columns_of_one_name_are_the_users_error(tmp_path: Path) -> None:
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="two columns are named 'text'"):
        open_file(tmp_path / "a.parquet", FileSettings())


@pytest.mark.parametrize("writer", WRITERS)
def test_a_cut_file_is_the_users_error(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "a.data"
    WRITERS[writer](pa.table({"text": ["some text"] * 100}), path)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(UserError, match=r"not a readable (Parquet|Arrow) file"):
        fields(path)


@pytest.mark.parametrize("writer", WRITERS)
@SETTINGS
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
                "label": st.none() | st.integers(-(2**63), 2**63 - 1),
                "score": st.none() | st.floats(allow_nan=False),
                "tags": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=3),
            }
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_table_is_read_as_written(tmp_path: Path, writer: str, rows: list[dict[str, object]]) -> None:
    schema = {"text": pa.string(), "label": pa.int64(), "score": pa.float64(), "tags": pa.list_(pa.string())}
    WRITERS[writer](pa.Table.from_pylist(rows, schema=pa.schema(list(schema.items()))), tmp_path / "a")
    assert fields(tmp_path / "a") == rows


def test_a_frame_is_read_as_pandas_wrote_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "label": pd.Categorical(["x", "y"])}, index=[7, 9])
    frame.to_parquet(tmp_path / "a.parquet")
    assert [{"text": row["text"], "label": row["label"]} for row in fields(tmp_path / "a.parquet")] == [
        {"text": "a", "label": "x"},
        {"text": "b", "label": "y"},
    ]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("writer", ["parquet", "arrow file"])
def test_bytes_in_utf8_are_texts_and_others_are_ignored(
    tmp_path: Path, writer: str, kind: pa.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_rows, "BATCH_ROWS", 2)
    texts = ["schön", "fine", None, "good", "bad"]
    columns = {
        "text": pa.array([None if text is None else text.encode() for text in texts], kind),
        "picture": pa.array([b"\x89PNG\xff"] * 5, kind),
        "label": pa.array([1, 0, 1, 0, 1]),
    }
    WRITERS[writer](pa.table(columns), tmp_path / "a")
    assert fields(tmp_path / "a") == [
        {"text": text, "label": label} for text, label in zip(texts, [1, 0, 1, 0, 1], strict=True)
    ]


def test_bytes_that_are_not_utf8_further_down_are_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_rows, "BATCH_ROWS", 2)
    pq.write_table(pa.table({"text": [b"a", b"b", b"\xff", b"c"], "label": [0, 1, 0, 1]}), tmp_path / "a.parquet")
    rows = list(open_file(tmp_path / "a.parquet", FileSettings()).tables["train"].read(None))
    assert [isinstance(row, Row) for row in rows] == [True, True, False, True]
    assert rows[2].place.endswith("a.parquet:3")
