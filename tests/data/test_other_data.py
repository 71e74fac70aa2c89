"""Other labelled data, read by the rules of a finished run."""

import json
import zipfile
from pathlib import Path

import pytest

from feathertune.data.other_data import load_split
from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from rated import folder, section
from workbooks import xlsx


def test_skipping_rows_is_not_suggested_where_it_is_not_possible(tmp_path: Path) -> None:
    train = folder(tmp_path, train="text\trating\na\t1\nc\t0\nb\thigh\n") / "train.tsv"
    with pytest.raises(UserError, match="the rating 'high' is not a number") as caught:
        load_split(train, section(tmp_path, on_bad_row="skip"), ("NEGATIVE", "POSITIVE"))
    assert caught.value.fix == "Fix or remove it."


YES_NO = "text,label\nwarm soup,yes\ncold soup,no\n"


def test_a_folder_that_is_one_split_is_evaluated_as_a_file_is(tmp_path: Path) -> None:
    for place, text in (("yes/1.txt", "warm soup"), ("no/1.txt", "cold soup")):
        (tmp_path / "soups" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "soups" / place).write_text(text, encoding="utf-8")
    split = load_split(tmp_path / "soups", DataSection(source="x"), ("no", "yes"))
    assert split.name == "soups"
    assert sorted((example.text, example.label) for example in split) == [("cold soup", 0), ("warm soup", 1)]


def test_of_a_file_with_splits_the_validation_split_is_evaluated(tmp_path: Path) -> None:
    rows = {name: [{"text": f"{name} soup", "label": "yes"}] for name in ("train", "validation")}
    (tmp_path / "all.json").write_text(json.dumps(rows), encoding="utf-8")
    split = load_split(tmp_path / "all.json", DataSection(source="x"), ("no", "yes"))
    assert (split.name, [example.text for example in split]) == ("validation", ["validation soup"])


def test_a_folder_without_validation_names_what_can_be_evaluated(tmp_path: Path) -> None:
    for name in ("Train.csv", "Test.csv"):
        (tmp_path / name).write_text(YES_NO, encoding="utf-8")
    with pytest.raises(UserError, match="no validation split, but train and test") as caught:
        load_split(tmp_path, DataSection(source="x"), ("no", "yes"))
    assert caught.value.fix == f"Give one of them: {tmp_path / 'Train.csv'} or {tmp_path / 'Test.csv'}"
    assert len(load_split(tmp_path / "Test.csv", DataSection(source="x"), ("no", "yes"))) == 2


@pytest.mark.parametrize(
    "content",
    [b"id,text\n1,warm soup\n2,cold soup\n3,old soup\n", YES_NO.encode() + b"caf\xe9 soup,yes\n"],
    ids=["no labels", "another encoding"],
)
def test_keys_of_a_recipe_are_not_proposed_for_a_file_to_evaluate(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_split(path, DataSection(source="x"), ("no", "yes"))
    assert caught.value.fix == (
        "Give a csv file in UTF-8 with the columns of the run's data: 'text', 'label'.\n"
        f"  For texts without labels: feathertune predict RUN --input {path}"
    )


def test_a_folder_or_file_to_give_instead_is_proposed_as_the_option(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "soups.zip", "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, YES_NO)
    with pytest.raises(UserError) as caught:
        load_split(tmp_path / "soups.zip", DataSection(source="x"), ("no", "yes"))
    assert caught.value.fix is not None
    assert f"Then give the folder: --data {tmp_path / 'soups'}" in caught.value.fix


def test_labels_that_are_all_unknown_are_another_runs(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(YES_NO, encoding="utf-8")
    with pytest.raises(UserError, match="unknown label 'yes'") as caught:
        load_split(tmp_path / "other.csv", DataSection(source="x"), ("bad", "good"))
    assert caught.value.fix == (
        "All labels are others than the run's: give data with the labels that it was trained with."
    )


def test_what_a_recipe_says_about_its_files_helps_to_read_others_alike(tmp_path: Path) -> None:
    run, rows = section(tmp_path, text="text", label={"column": "label"}, sheet="second"), [["text", "label"]]
    rows += [[f"what a day it was, number {n}", "xy"[n % 2]] for n in range(20)]
    half = [*rows[:11]]
    (tmp_path / "two.xlsx").write_bytes(xlsx({"first": rows, "second": half}))
    (tmp_path / "one.xlsx").write_bytes(xlsx({"first": rows}))
    (tmp_path / "plain.csv").write_text("".join(f'"{text}",{label}\n' for text, label in rows))
    lengths = [len(load_split(tmp_path / name, run, ("x", "y"))) for name in ("two.xlsx", "one.xlsx", "plain.csv")]
    assert lengths == [10, 20, 20]
    (tmp_path / "bad.csv").write_text("a\n1\n")
    with pytest.raises(UserError, match=r"bad\.csv"):
        load_split(tmp_path / "bad.csv", run, ("x", "y"))
