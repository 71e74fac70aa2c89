"""`inspect data`: what it says is what training says, and what it writes trains."""

from pathlib import Path

import pytest

from feathertune.errors import UserError
from feathertune.recipe.files import load_recipe
from feathertune.recipe.yaml_text import load_yaml
from feathertune.run.inspect import inspect_data, inspect_source
from feathertune.run.outline import introduce, outline
from feathertune.run.prepare import prepare
from feathertune.run.train import train
from feathertune.system.machine import default_device
from tiny import SHARED, save_tiny_base, tiny_tokenizer

CASES = SHARED.parent / "cases" / "data"
WORDS = ["the cat", "the sun", "a moon", "what is the cat", "the sea", "a song"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a base, a csv with several faults, and a recipe."""
    monkeypatch.chdir(tmp_path)
    save_tiny_base(tmp_path / "base")
    labels = ["yes"] * 10 + ["no"] * 9 + ["YES", "nan", "nan"]
    rows = [f"{WORDS[index % 6]} {WORDS[index % 5]} number {index};{label}" for index, label in enumerate(labels)]
    rows += [rows[0], "[SEP] the cat;no", " ".join(["the cat"] * 30) + ";yes"]
    (tmp_path / "data.csv").write_text("\n".join(["text;label", *rows]) + "\n", encoding="windows-1252")
    (tmp_path / "recipe.yaml").write_text(
        "model: {source: base, max_length: 32}\ndata: {source: data.csv}\n"
        "lora: {rank: 2}\ntraining: {epochs: 1, batch_size: 8}\n"
    )
    return tmp_path


def test_training_says_the_same(place: Path) -> None:
    inspected = inspect_source("recipe.yaml")
    prepared = prepare(load_recipe("recipe.yaml"), default_device())
    trained = prepared.data_record
    assert (trained.remarks, trained.read_as) == (inspected.remarks, inspected.read_as)
    assert {"spelling", "no_label", "duplicates", "special_tokens", "long_texts"} <= {
        one.kind for one in trained.remarks
    }
    assert trained.read_as["data.csv"].separator == ";"
    said = introduce(prepared)
    assert any(line.startswith("data.csv read as: csv, `;` separated") for line in said)
    assert {f"warning: {remark.line}" for remark in inspected.remarks} <= set(said)
    assert not any(remark.line in line for line in introduce(prepared, quiet=True) for remark in inspected.remarks)
    planned = outline(load_recipe("recipe.yaml"))
    assert [one["kind"] for one in planned["remarks"]] == [one.kind for one in inspected.remarks]


def test_a_baseline_says_what_concerns_it(place: Path) -> None:
    kinds = {one["kind"] for one in outline(load_recipe("recipe.yaml", ["method=majority"]))["remarks"]}
    assert {"spelling", "no_label", "duplicates"} <= kinds
    assert not kinds & {"long_texts", "special_tokens", "unknown_tokens"}


def test_strict_writes_nothing(place: Path) -> None:
    for attempt in (
        lambda: inspect_source("data.csv", strict=True, convert="all.csv", write_recipe="new.yaml", figures="figures"),
        lambda: train(load_recipe("recipe.yaml"), "run", strict=True),
        lambda: outline(load_recipe("recipe.yaml"), strict=True),
    ):
        with pytest.raises(UserError, match=r"--strict makes them errors:\n  'nan' .2 rows. may stand"):
            attempt()
    assert {path.name for path in place.iterdir()} == {"base", "data.csv", "recipe.yaml"}


def test_quiet_drops_them(place: Path) -> None:
    assert inspect_data("data.csv", quiet=True)["remarks"] == []
    assert inspect_data("data.csv")["remarks"] != []


def test_keys_of_data_and_model_for_a_bare_file(place: Path) -> None:
    changes = ["data.label.merge_case=true", "data.label.missing=[nan]", "model.source=base", "model.max_length=64"]
    record = inspect_source("data.csv", changes)
    assert record.label_names == ("no", "yes")
    assert {one.kind for one in record.remarks} == {"duplicates", "special_tokens", "unknown_tokens"}
    for wrong in ("training.epochs=3", "data.source=other.csv", "data=1"):
        with pytest.raises(UserError, match="is no setting of data or of a model"):
            inspect_source("data.csv", [wrong])
    with pytest.raises(UserError, match=r"data\.separtor.*did you mean 'separator'"):
        inspect_source("data.csv", ["data.separtor=x"])


def test_what_training_refuses_is_refused_in_the_same_words(place: Path) -> None:
    lines = "\n".join(f"der Mond Nummer {'i' * index},{'ab'[index % 2]}" for index in range(30))
    (place / "german.csv").write_text(f"text,label\n{lines}\n")
    recipe = place / "german.yaml"
    recipe.write_text("model: {source: base}\ndata: {source: german.csv}\n")
    errors = []
    for attempt in (
        lambda: prepare(load_recipe(recipe), default_device()),
        lambda: inspect_source("german.csv", model="base"),
        lambda: inspect_source("german.yaml"),
    ):
        with pytest.raises(UserError, match="unknown to the base's tokenizer") as error:
            attempt()
        errors.append(str(error.value))
    assert len(set(errors)) == 1
    assert "model.source=FacebookAI/roberta-base" in errors[0]
    config = place / "base" / "config.json"
    size = len(tiny_tokenizer())
    config.write_text(config.read_text().replace('"vocab_size": 120', f'"vocab_size": {3 * size}'))
    with pytest.raises(UserError, match=f"the tokenizer has {size} tokens and the model {3 * size}"):
        inspect_source("data.csv", model="base")


def test_the_recipe_that_is_written_trains_on_what_was_found(place: Path) -> None:
    changes = ["data.label.merge_case=true", "data.label.missing=[nan]", "model.max_length=64"]
    found = inspect_source("data.csv", changes, model="base", write_recipe="new.yaml")
    text = (place / "new.yaml").read_text("utf-8")
    assert text.startswith("# Made by `feathertune inspect data data.csv --write-recipe`")
    values = load_yaml(text, "new.yaml")
    assert values["model"] == {"source": "base", "max_length": 64}
    assert values["data"] == {
        "source": "data.csv",
        "format": "csv",
        "separator": ";",
        "quote": '"',
        "header": True,
        "encoding": "utf-8",
        "text": "text",
        "label": {"column": "label", "missing": ["nan"], "merge_case": True},
    }
    again = inspect_source("new.yaml")
    assert {n: s.labels for n, s in again.splits.items()} == {n: s.labels for n, s in found.splits.items()}
    summary = train(load_recipe("new.yaml", ["training.epochs=1", "lora.rank=2"]), "run")
    assert summary["label_names"] == ["no", "yes"]
    with pytest.raises(UserError, match=r"new\.yaml: there is such a file already"):
        inspect_source("data.csv", write_recipe="new.yaml")
    with pytest.raises(UserError, match="a recipe is a YAML file"):
        inspect_source("data.csv", write_recipe="new.json")


@pytest.mark.parametrize(
    "name",
    ["headerless.tsv", "headerless_01.tsv", "semicolon2.csv", "quoted.tsv", "backslash.csv", "cr.csv", "utf16.tsv",
     "latin1.csv", "trailing.csv", "index.csv", "float.csv", "float.parquet", "list1.jsonl", "fasttext.txt", "ls.csv",
     "ls.json", "nlu.yml", "classes", "cap", "titlebody.csv", "prodigy_three.jsonl", "doccano.jsonl"],
)  # fmt: skip
def test_written_recipes_and_files_of_the_shared_cases_read_the_same(name: str, tmp_path: Path) -> None:
    if not CASES.is_dir():
        pytest.skip("the shared cases are not here")
    if not (CASES / name).exists():
        pytest.fail(f"{name} is missing")
    recipe, converted = tmp_path / "new.yaml", tmp_path / "all.csv"
    found = inspect_source(str(CASES / name), write_recipe=recipe, convert=converted)
    expected = {split: one.labels for split, one in found.splits.items()}
    for again in (inspect_source(str(recipe)), inspect_source(str(converted))):
        assert {split: one.labels for split, one in again.splits.items()} == expected
        assert [one.characters for one in again.splits.values()] == [one.characters for one in found.splits.values()]


def test_figures_of_lengths_and_labels(place: Path) -> None:
    inspect_source("data.csv", model="base", figures="figures")
    files = {path.name: path.read_bytes()[:4] for path in (place / "figures").iterdir()}
    assert files == dict.fromkeys(("characters.png", "tokens.png", "labels.png"), b"\x89PNG")


@pytest.mark.parametrize(
    ("labels", "line", "names"),
    [
        (["yes", "no", "YES"], "data.label.merge_case=true", ["no", "yes"]),
        (["yes", "no", "nan"], "data.label.missing=[nan]", ["no", "yes"]),
        (["a|b", "b", "a", "b|c", "c"], "data.label.has=a", ["not a", "a"]),
        (["low", "high", "medium"], "data.label.names=[low,medium,high]", ["low", "medium", "high"]),
        (["1", "2", "3", "4", "5"], "data.label={rating: level, at_least: 4}", ["NEGATIVE", "POSITIVE"]),
    ],
)
def test_lines_to_type_work_where_another_recipe_is_taken(
    labels: list[str], line: str, names: list[str], place: Path
) -> None:
    """A shipped recipe has a rating of its own, which data of another source does not."""
    rows = "".join(f"a text with number {index},{labels[index % len(labels)]}\n" for index in range(60))
    (place / "mine.csv").write_text(f"text,level\n{rows}")
    recipe = load_recipe("quickstart", ["data.source=mine.csv", "method=majority", line])
    assert outline(recipe)["label_names"] == names
    assert {n for split in inspect_source("mine.csv", [line]).splits.values() for n in split.labels} == set(names)


def test_two_names_for_a_recipes_rating_keep_its_threshold() -> None:
    recipe = load_recipe("quickstart", ["data.source=mine.csv", "data.label.names=[bad, good]"])
    assert (recipe.data.label.rating, recipe.data.label.above) == ("rating", 0.5)
