"""A dataset as a file, which reads as the same dataset again."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feathertune.data.converting import convert
from feathertune.data.example import Dataset
from feathertune.data.loading import load_dataset
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection, LabelSection

ROWS = [
    {"text": 'quotes " and, commas', "label": "no"},
    {"text": "two\nlines\tand a tab", "label": "yes"},
    {"text": "  spaces around; semicolons  ", "label": "maybe so"},
    {"text": "日本 👩 naïve |", "label": "no"},
    *({"text": f"a plain text, number {index}", "label": ("yes", "no", "maybe so")[index % 3]} for index in range(40)),
]


def contents(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    names = dataset.label_names
    return {name: [(one.text, names[one.label]) for one in split] for name, split in dataset.splits.items()}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_it_reads_as_the_same_again(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "data.json"
    source.write_text(json.dumps(ROWS), encoding="utf-8")
    dataset = load_dataset(DataSection(source=str(source)), seed=0)
    path = tmp_path / "out" / f"all{suffix}"
    convert(dataset, path)
    again = load_dataset(DataSection(source=str(path)), seed=5)
    assert contents(again) == contents(dataset)
    assert not again.validation_made
    assert again.label_names == ("maybe so", "no", "yes")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_columns_and_the_places(tmp_path: Path) -> None:
    label = LabelSection(rating="rating", above=0.5, names=("ill-formed", "well-formed"))
    dataset = load_dataset(DataSection(source="sample", text="content", label=label), seed=0)
    convert(dataset, tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column_names == ["text", "label", "rating", "split", "row", "place"]
    assert table.num_rows == sum(map(len, dataset.splits.values()))
    first = table.slice(0, 1).to_pylist()[0]
    example = dataset.splits["train"][0]
    assert (first["text"], first["rating"], first["row"]) == (example.text, example.rating, example.row)
    assert first["place"] == dataset.splits["train"].place(0)
    assert contents(load_dataset(DataSection(source=str(tmp_path / "all.parquet")), 0)) == contents(dataset)


def test_nothing_is_overwritten_and_other_kinds_are_refused(tmp_path: Path) -> None:
    dataset = load_dataset(
        DataSection(source="sample", text="content", label=LabelSection(rating="rating", above=0)), 0
    )
    (tmp_path / "all.csv").write_text("mine")
    with pytest.raises(UserError, match="there is such a file already"):
        convert(dataset, tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text() == "mine"
    with pytest.raises(UserError, match=r"Give \.parquet, \.csv, \.jsonl"):
        convert(dataset, tmp_path / "all.xlsx")
