"""The statistics of a dataset, and the tables that `inspect data` shows."""

import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from feathertune.data.example import Dataset
from feathertune.data.loading import load_dataset
from feathertune.data.statistics import describe
from feathertune.folders.inputs import DataRecord
from feathertune.recipe.schema import DataSection, LabelSection
from feathertune.terminal.data_tables import render
from feathertune.wording.visible import visible

TRAIN = (
    "text\trating\n[bold]what is this ?\t1.0\nit what\t0.2\nIT WHAT\t0.8\nbell \x07 and \u202e turned\t0.8\nshort row\n"
)
DEV = "text\trating\nit  what\t0.2\nwho is there ?\t0.6\n"


@pytest.fixture
def section(tmp_path: Path) -> DataSection:
    (tmp_path / "train.tsv").write_text(TRAIN)
    (tmp_path / "dev.tsv").write_text(DEV)
    label = LabelSection(rating="rating", above=0.5)
    return DataSection(source=str(tmp_path), label=label, on_bad_row="skip")


def count_words(dataset: Dataset) -> dict[str, npt.NDArray[np.int64]]:
    return {name: np.array([len(row.text.split()) for row in split]) for name, split in dataset.splits.items()}


def shown(description: DataRecord, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render(description))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_a_description_counts_everything_and_is_json(section: DataSection) -> None:
    dataset = load_dataset(section, seed=0)
    description = describe(dataset, count_words(dataset)).to_json()
    assert json.loads(json.dumps(description, allow_nan=False)) == description
    train = description["splits"]["train"]
    assert train["count"] == 4
    assert train["characters"] == {"min": 7, "median": 13.0, "p95": 19.85, "max": 20}
    assert train["tokens"] == {"min": 2, "median": 3.0, "p95": 4.85, "max": 5}
    assert train["labels"] == {"NEGATIVE": 1, "POSITIVE": 3}
    assert train["ratings"] == {"histogram": {"0.2": 1, "0.8": 2, "1": 1}}
    assert (train["duplicates"], train["conflicts"]) == (1, 1)
    assert train["duplicate_examples"][0]["places"] == ["train.tsv:3", "train.tsv:4"]
    assert [example["label"] for example in train["examples"]] == ["NEGATIVE", "POSITIVE", "POSITIVE", "POSITIVE"]
    (leak,) = description["leaks"]
    assert (leak["splits"], leak["count"]) == (["train", "validation"], 1)
    assert description["bad_rows"]["count"] == 1
    assert description["bad_rows"]["listed"][0]["place"].endswith("train.tsv:6")
    assert set(description["origin"]["files"]) == {"train.tsv", "dev.tsv"}


def test_characters_are_counted_not_bytes(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\n日本語\tx\n👩\ty\n", encoding="utf-8")
    (tmp_path / "dev.tsv").write_text("text\tlabel\na\tx\n")
    train = describe(load_dataset(DataSection(source=str(tmp_path)), seed=0), None).to_json()["splits"]["train"]
    assert train["characters"] == {"min": 1, "median": 2.0, "p95": 2.9, "max": 3}
    assert train["tokens"] is None
    assert train["ratings"] is None


def test_many_ratings_are_summed_up_by_quantiles(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\trating\n" + "".join(f"text {n}\t{n / 100}\n" for n in range(101)))
    (tmp_path / "dev.tsv").write_text("text\trating\na\t0.8\n")
    section = DataSection(source=str(tmp_path), label=LabelSection(rating="rating", at_least=0.5))
    description = describe(load_dataset(section, seed=0), None)
    quantiles = {"0": 0.0, "0.05": 0.05, "0.25": 0.25, "0.5": 0.5, "0.75": 0.75, "0.95": 0.95, "1": 1.0}
    splits = description.to_json()["splits"]
    assert splits["train"]["ratings"] == {"quantiles": quantiles}
    assert splits["validation"]["ratings"] == {"histogram": {"0.8": 1}}
    assert "Quantiles of the rating" in shown(description)


def test_examples_are_drawn_with_the_seed(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("text\trating\n" + "".join(f"text {n}\t{n % 2}\n" for n in range(100)))
    dataset = load_dataset(DataSection(source=str(tmp_path / "data.tsv"), label={"column": "rating"}), seed=0)
    first, again, other = (describe(dataset, None, seed).splits["train"].examples for seed in (0, 0, 1))
    assert len(first) == 6
    assert first == again != other


def test_tables_show_texts_as_they_are(section: DataSection) -> None:
    dataset = load_dataset(section, seed=0)
    output = shown(describe(dataset, count_words(dataset)))
    assert "[bold]what is this ?" in output  # no markup
    assert "\\x07" in output
    assert "\\u202e" in output
    assert "\x07" not in output
    assert "1 row of validation also in train" in output
    assert "1 bad row left out" in output
    assert max(map(len, output.splitlines())) <= 100


def test_a_thousand_classes_do_not_flood_the_screen(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "".join(f"text {n}\t{n % 1000}\n" for n in range(2000)))
    (tmp_path / "dev.tsv").write_text("text\tlabel\ntext\t7\n")
    output = shown(describe(load_dataset(DataSection(source=str(tmp_path)), seed=0), None))
    assert "and 970 more" in output
    assert len(output.splitlines()) < 150


def test_invisible_characters_are_made_visible() -> None:
    assert visible("a\tb\x1b[31m\u2028\u202e\x85") == "a\\tb\\x1b[31m\\u2028\\u202e\\x85"
    assert visible("日本 👩\u200d🚀 é [x]") == "日本 👩\u200d🚀 é [x]"
