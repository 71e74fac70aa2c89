"""A recipe and data are told apart, and a recipe meets data that is not its own."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from feathertune.cli.app import app
from feathertune.data.loading import load_dataset
from feathertune.errors import UserError
from feathertune.recipe.data_files import is_data
from feathertune.recipe.files import dump_recipe, find_recipe, is_complete, load_recipe, recipe_path
from feathertune.recipe.parsing import typed
from feathertune.recipe.schema import LabelSection
from short_recipe import BASE, parse, refusal

NLU = 'version: "3.1"\nnlu:\n- intent: greet\n  examples: |\n    - hello there\n    - good day\n'
RATED = BASE.replace(
    "  label: {column: c}", "  text: content\n  revision: v1\n  label: {rating: r, above: 3, soft: true}"
)


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("r.yaml", BASE, False),
        ("r.yml", "{model: {source: m}, data: {source: d}}", False),
        ("r.yaml", "# the model comes later\n\ndata: {source: d}\n", False),
        ("r.yaml", "modle: {source: m}\n", False),  # misspelt: the recipe's error names the right key
        ("r.yaml", "model: {source: m\n", False),  # no YAML
        ("r.yaml", "", False),
        ("r.json", '{"model": {"source": "m"}, "data": {"source": "d"}}', False),
        ("r.recipe", BASE, False),
        ("nlu.yml", NLU, True),
        ("nlu.yaml", "nlu: []\n" + "# long\n" * 30_000, True),
        ("rows.yaml", "- {text: a, label: x}\n- {text: b, label: y}\n", True),
        ("rows.yaml", "data:\n- {text: a, label: x}\n", True),
        ("rows.json", '{"data": [{"text": "a", "label": "x"}]}', True),
        ("rows.jsonl", '{"text": "a", "model": "b"}\n{"text": "c", "model": "d"}\n', True),
        ("rows.csv", "text,label\na,x\n", True),
        ("rows.csv", "text,label\nmodel: a,x\n", True),
        ("rows", "text,label\na,x\n", True),
        ("rows.xlsx", "PK\x03\x04\udcff", True),
    ],
)
def test_a_recipe_is_told_from_data_by_its_content(tmp_path: Path, name: str, text: str, data: bool) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert is_data(path) is data
    assert is_data(tmp_path), "a folder is no recipe"
    assert not is_data(tmp_path / "missing.yaml")
    if data:
        assert recipe_path(str(path)) is None
        with pytest.raises(UserError, match="this is data, not a recipe"):
            load_recipe(path)
    else:
        assert find_recipe(str(path)) == path


@pytest.mark.parametrize("command", ["train", "compare", "tune"])
@pytest.mark.parametrize("name", ["rows.csv", "nlu.yml", "my rows", "sample"])
def test_data_in_place_of_a_recipe_gets_the_line_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\na,x\n")
    Path("nlu.yml").write_text(NLU)
    Path("my rows").mkdir()
    result = CliRunner().invoke(app, [command, name])
    assert isinstance(result.exception, UserError)
    source = {"my rows": "'data.source=my rows'"}.get(name, f"data.source={name}")
    proposed = "compare" if command == "compare" else "train"  # `quickstart` searches nothing
    assert str(result.exception).splitlines() == [
        f"{name}: this is data, not a recipe",
        f"  Name it as the data of a recipe: feathertune {proposed} quickstart {source}",
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a.csv", "k=a.csv"),
        ("my file.csv", "'k=my file.csv'"),
        ("2024", "'k=\"2024\"'"),  # as a number, YAML would read it
        ("a: b", "'k=\"a: b\"'"),
        (";", "'k=;'"),
        ("no", "'k=\"no\"'"),
        ("é #1", "'k=\"é #1\"'"),
    ],
)
def test_a_line_to_type_is_read_back_as_the_value(value: str, line: str) -> None:
    import shlex

    from feathertune.recipe.parsing import apply_override

    assert typed("k", value) == line
    values: dict[str, object] = {}
    apply_override(values, *shlex.split(typed("k", value)))
    assert values == {"k": value}


@pytest.mark.parametrize(
    ("overrides", "own"),
    [
        ((), True),
        (("data.source=d",), True),
        (("data.source=e",), False),
        (("data.source=e", "data.text=t"), "text"),
        (("data.source=e", "data.label.column=l"), "label"),
        (("data.source=e", "data.label={column: l}"), "label"),
        (("data.source=e", "data.text=t", "data.label.column=l"), True),
        (("data.source=e", "data.label.merge_case=true"), "label"),  # which goes with no rating
        (("data.source=e", "data.label.annotators=first"), False),
        (("data={source: e}",), True),
    ],
)
def test_columns_are_a_recipes_own_until_its_source_is_another(overrides: tuple[str, ...], own: object) -> None:
    data = parse(RATED, *overrides).data
    assert data.own_columns == own
    same = data.source == "d"
    assert data.revision == ("v1" if same else None), "a revision is one of its own source"


@pytest.mark.parametrize(
    ("overrides", "own"),
    [((), True), (("data.source=e",), False), (("data.source=e", "data.label.names=[n, y]"), True)],
)
def test_names_of_labels_are_a_recipes_own_likewise(overrides: tuple[str, ...], own: bool) -> None:
    assert parse(RATED, *overrides).data.own_names is own


def test_a_label_that_is_named_replaces_the_rating_of_another_source() -> None:
    data = parse(RATED, "data.source=e", "data.label.column=l", "data.label.merge_case=true").data
    assert data.label == LabelSection(column="l", merge_case=True)
    data = parse(RATED, "data.source=e", "data.label.rating=stars", "data.label.above=2").data
    assert data.label == LabelSection(rating="stars", above=2)
    assert "give either `column`" in refusal(RATED, "data.label.column=l"), "of its own source it has a label already"


def test_whose_columns_they_are_is_no_key() -> None:
    assert "data.own_columns (override): there is no such key" in refusal(BASE, "data.own_columns=false")
    assert "own_columns" not in refusal(BASE, "data.kolumns=x")
    recipe = parse(RATED, "data.source=e")
    assert "own_columns" not in dump_recipe(recipe)
    assert is_complete(parse(dump_recipe(recipe)))


@pytest.mark.parametrize("recipe", ["quickstart", "wellformed-best"])
def test_a_shipped_recipe_reads_a_file_of_other_columns(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("review,sentiment\n" + "".join(f"a fine day {n},{'good' if n % 2 else 'bad'}\n" for n in range(20)))
    data = load_dataset(load_recipe(recipe, [f"data.source={path}"]).data, seed=0)
    assert data.label_names == ("bad", "good")
    assert any("'review'" in note and "'sentiment'" in note for note in data.notes)


@pytest.mark.parametrize(
    ("override", "labels"),
    [
        ("data.label.missing=[nan]", ("Bad", "bad", "good")),
        ("data.label.merge_case=true", ("bad", "good", "nan")),
        ("data.label.has=good", ("not good", "good")),
        ("data.label.map={Bad: bad, nan: bad}", ("bad", "good")),
        ("data.label.column=stars", ("1", "2")),
        ("data.text=note", ("Bad", "bad", "good", "nan")),
    ],
)
def test_what_is_proposed_for_a_file_works_with_a_shipped_recipe(
    tmp_path: Path, override: str, labels: tuple[str, ...]
) -> None:
    path = tmp_path / "reviews.csv"
    rows = "".join(
        f"a fine day number {n},a note {n},{('good', 'bad', 'Bad', 'nan')[n % 4]},{n % 2 + 1}\n" for n in range(40)
    )
    path.write_text("review,note,sentiment,stars\n" + rows)
    data = load_dataset(load_recipe("quickstart", [f"data.source={path}", override]).data, seed=0)
    assert data.label_names == labels
    text = "a note" if "text" in override else "a fine day"
    assert all(row.text.startswith(text) for row in data.splits["train"])


@pytest.mark.parametrize("header", ["content\trating\n", ""])
def test_a_shipped_recipe_keeps_its_rule_for_files_with_its_columns(tmp_path: Path, header: str) -> None:
    rows = "".join(f"is this question {n} ?\t{n % 6 / 5:.1f}\n" for n in range(30))
    (tmp_path / "train.tsv").write_text(header + rows)
    data = load_dataset(load_recipe("wellformed-best", [f"data.source={tmp_path}"]).data, seed=0)
    labels = {row.text: row.label for split in data.splits.values() for row in split}
    assert len(labels) == 30
    assert {text: int(int(text.split()[3]) % 6 / 5 >= 0.8) for text in labels} == labels
