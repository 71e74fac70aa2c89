"""A recipe is read, changed by overrides, validated once; what is wrong is named with its line and the nearest word."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from feathertune.errors import UserError
from feathertune.recipe.files import (
    dump_recipe,
    find_recipe,
    load_recipe,
    shipped_recipes,
)
from feathertune.recipe.schema import Recipe, TrainingSection
from feathertune.recipe.yaml_text import dump_yaml, load_yaml
from short_recipe import BASE, parse, refusal


def test_defaults_need_a_model_and_data_alone() -> None:
    recipe = parse("{model: {source: m}, data: {source: d}}")
    assert (recipe.method, recipe.data.text, recipe.data.label.column) == ("lora", None, None)
    assert recipe.training == TrainingSection()
    with pytest.raises(ValidationError, match="frozen"):
        recipe.method = "full"  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_parses_and_round_trips(name: str) -> None:
    recipe = load_recipe(find_recipe(name))
    assert parse(dump_recipe(recipe)) == recipe
    assert load_recipe(find_recipe(name), ["training.epochs=1"]).training.epochs == 1


def test_recipes_are_found_in_a_checkout() -> None:  # in a wheel: tests/test_wheel.py
    folder = Path(__file__).resolve().parents[2] / "recipes"
    assert shipped_recipes() == {path.stem: path for path in folder.glob("*.yaml")}
    assert "quickstart" in shipped_recipes()


def test_the_dump_has_every_default_and_reads_back(tmp_path: Path) -> None:
    recipe = parse(BASE, 'data.label.names=["no", "1e-4", "ж: #"]', "lora.targets=[query, value]")
    assert "early_stopping_patience: null" in dump_recipe(recipe)
    assert parse(dump_recipe(recipe)) == recipe
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "r.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("training.learning_rate=1e-4", "training.learning_rate", 1e-4),
        ("training.learning_rate=2.0e-5", "training.learning_rate", 2e-5),
        ("training.epochs=7", "training.epochs", 7),
        ("training.early_stopping_patience=null", "training.early_stopping_patience", None),
        ("training.max_grad_norm=", "training.max_grad_norm", None),
        ("lora.targets=[query, attention.output.dense]", "lora.targets", ("query", "attention.output.dense")),
        ("lora.targets=all-linear", "lora.targets", "all-linear"),
        ("lora={rank: 2}", "lora.rank", 2),
        ("evaluation.threshold=0.3", "evaluation.fixed_threshold", 0.3),
        ("evaluation.threshold={maximize: f1}", "evaluation.maximize", "f1"),
        ("evaluation.threshold.maximize=f1", "evaluation.fixed_threshold", 0.5),
        ("evaluation.temperature=true", "evaluation.chooses", True),
        ("method=full", "method", "full"),
        (" training.seed = 3", "training.seed", 3),
        ("model.source=gguf:a=b.gguf", "model.source", "gguf:a=b.gguf"),
        ("model.revision=1234567e8", "model.revision", "1234567e8"),  # a commit, not a number
        ("data.text=nan", "data.text", "nan"),
    ],
)
def test_overrides(override: str, path: str, value: object) -> None:
    found: Any = parse(BASE + "training: {early_stopping_patience: 2}\n", override)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


def test_the_last_override_wins_and_an_empty_section_may_be_filled() -> None:
    recipe = parse(BASE + "training:\n", "training.epochs=1", "training.epochs=2")
    assert recipe.training.epochs == 2


@pytest.mark.parametrize("override", ["training.epochs", "=3", ".=3", "training..epochs=3", "training.=3", ""])
def test_an_override_of_another_form_is_refused(override: str) -> None:
    assert "is not of the form key=value" in refusal(BASE, override)


def test_an_override_that_cannot_be_set_is_refused() -> None:
    assert "sets a key of training.epochs, which is no section" in refusal(
        BASE + "training: {epochs: 3}", "training.epochs.x=1"
    )
    assert "'lora.rank=[1'" in refusal(BASE, "lora.rank=[1")
    assert "'lora.rank=2024-13-45'" in refusal(BASE, "lora.rank=2024-13-45")
    assert "python/object" in refusal(BASE, "lora.rank=!!python/object/apply:os.getcwd []")


def test_a_wrong_override_is_not_blamed_on_the_file() -> None:
    text = BASE + "training:\n  epochs: 3\n"
    assert "training.epochs (override): " in refusal(text, "training.epochs=many")
    assert "training.epocs (override): there is no such key; did you mean 'epochs'?" in refusal(
        text, "training.epocs=3"
    )
    assert "lora.rnak (override)" in refusal(text, "lora={rnak: 3}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + "trainning: {epochs: 3}\n", "trainning (line 6): there is no such key; did you mean 'training'?"),
        (
            BASE + "training:\n  # more\n  epocs: 3\n",
            "training.epocs (line 8): there is no such key; did you mean 'epochs'?",
        ),
        (BASE + "lora: {rnak: 3}\n", "lora.rnak (line 6): there is no such key; did you mean 'rank'?"),
        (BASE.replace("source: m", "sorce: m"), "model.sorce (line 2): there is no such key; did you mean 'source'?"),
        (
            BASE.replace("column: c", "colunm: c"),
            "data.label.colunm (line 5): there is no such key; did you mean 'column'?",
        ),
        (BASE + "zzz: 3\n", "zzz (line 6): there is no such key\n"),
    ],
)
def test_a_misspelt_key_gets_the_nearest_right_one_and_its_line(text: str, message: str) -> None:
    refused = refusal(text)
    assert message in refused
    assert refused.startswith("r.yaml: ")
    assert "The keys of " in refused


def test_every_problem_is_reported_at_once() -> None:
    refused = refusal(BASE + "training:\n  epochs: 0\n  epoch: 1\n  seed: -1\nmethod: lara\n")
    for line, key in ((7, "training.epochs"), (8, "training.epoch"), (9, "training.seed"), (10, "method")):
        assert f"{key} (line {line}): " in refused


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("training: {epochs: many}", "training.epochs (line 6): Input should be a valid integer"),
        ("training: {epochs: 2.5}", "training.epochs (line 6): Input should be a valid integer"),
        ("training: {learning_rate: 0}", "training.learning_rate (line 6): Input should be greater than 0"),
        ("training: {learning_rate: .inf}", "training.learning_rate (line 6): Input should be a finite number"),
        ("training: {weight_decay: .nan}", "training.weight_decay (line 6): Input should be a finite number"),
        ("training: {schedule: liner}", "Input should be 'linear', 'cosine', 'constant' or 'plateau'"),
        ("training: [1, 2]", "training (line 6): this is a section"),
        ("training: 3", "training (line 6): this is a section"),
        ("lora:", "lora (line 6): this is a section"),
        ("lora: {targets: 3}", "lora.targets (line 6): give `attention`, `all-linear`, or a list of layer names"),
        ("lora: {targets: [q, 3]}", "lora.targets (line 6): give `attention`"),
        ("lora: {targets: []}", "lora.targets (line 6): give `attention`"),
        ("lora: {targets: all}", "lora.targets (line 6): give `attention`"),
        (
            "method: lara",
            "method (line 6): Input should be 'head', 'full', 'lora', 'qat', 'majority' or 'bag_of_words'",
        ),
        ("evaluation: {threshold: 1.5}", "evaluation.threshold (line 6): give a number between 0 and 1, or {maximize"),
        ("evaluation: {threshold: {maximize: recall}}", "with one of accuracy, f1, balanced_accuracy"),
        ("evaluation: {thresold: 0.3}", "did you mean 'threshold'?"),
        ("3: 4", "3 (line 6): "),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_line(lines: str, message: str) -> None:
    assert message in refusal(f"{BASE}{lines}\n")


def test_a_required_key_that_is_missing_is_named() -> None:
    refused = refusal("model: {}")
    assert "model.source: this key is required" in refused
    assert "data: this key is required" in refused


@pytest.mark.parametrize("text", ["", "3", "[model, data]", "text", "null", "- model: {source: m}"])
def test_a_recipe_is_a_mapping(text: str) -> None:
    assert "a recipe is a mapping of sections" in refusal(text)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("{column: c, rating: r, above: 1}", "not both"),
        ("{rating: r}", "give either `above` or `at_least`"),
        ("{rating: r, above: 1, at_least: 1}", "give either `above` or `at_least`"),
        ("{rating: r, above: .nan}", "Input should be a finite number"),
        ("{column: c, above: 1}", "go with `rating`"),
        ("{column: c, soft: true}", "go with `rating`"),
        ("{rating: r, above: 1, raters: 5}", "`raters` goes with `soft: true`"),
        ("{column: c, names: [a]}", "two or more different names"),
        ("{column: c, names: [a, b, a]}", "two or more different names"),
        ("{rating: r, above: 1, names: [a, b, c]}", "two names when the label comes from a rating"),
    ],
)
def test_a_label_comes_from_a_column_or_from_a_rating(label: str, message: str) -> None:
    refused = refusal(BASE.replace("{column: c}", label))
    assert message in refused
    assert "(line 5)" in refused


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir [made]",
        "!!python/object/new:os.mkdir [made]",
        "!!python/name:os.mkdir",
        "!!python/module:os",
        "!own {}",
    ],
)
def test_nothing_in_a_recipe_is_executed(tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.search("r.yaml:6: not valid YAML: could not determine a constructor", refusal(f"{BASE}method: {tag}"))
    assert not os.listdir(tmp_path)  # noqa: PTH208


@pytest.mark.parametrize(
    "text", ["[" * 1000, "a: 2024-13-45", "!!int x", "!!timestamp x", "!!bool x", "\x00", "a: [", "? [a]\n: b", "<<: 3"]
)
def test_what_is_no_yaml_is_said_to_be_none(text: str) -> None:
    assert "r.yaml" in refusal(text)
    assert "not valid YAML" in refusal(text)


def test_an_alias_may_lead_back_to_where_it_came_from() -> None:
    assert "there is no such key" in refusal("a: &a {b: *a, c: [*a]}")


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "data", "source", "label", "training", "lora", "targets", "names"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=60) | st.text(st.sampled_from("ab:-[]{}!&*<>?|'\"%@#, \n1."), max_size=40))
@example("!!float _")
@example("=")
@example("? !!set {a}\n: b")
@example("0x_: 0b_")
def test_any_text_is_a_recipe_or_a_user_error(text: str) -> None:
    for attempt in (lambda: parse(text), lambda: parse(BASE, text), lambda: parse(BASE, f"lora={text}")):
        with contextlib.suppress(UserError):
            attempt()


@settings(deadline=None, max_examples=100)
@given(YAML_VALUES)
def test_any_yaml_is_a_recipe_or_a_user_error(value: object) -> None:
    with contextlib.suppress(UserError):
        parse(dump_yaml(value))


@settings(deadline=None, max_examples=100)
@given(YAML_VALUES)
@example({"": "\x85 " + "\U0001f600 long " * 20})
@example([1e-5, -1e16, 0.1, True, None, "yes", "y", "1e-4", "0x1f", "1:30", "2024-01-01", "~", "=", "<<", "\ttab "])
def test_any_value_is_the_same_when_read_back(value: object) -> None:
    assert repr(load_yaml(dump_yaml(value), "here")) == repr(value)


@pytest.mark.parametrize("text", ["y", "n", "1e-4", "1234567e8", "0o17", "08", ".5e3", "-_", "nan", "None"])
def test_text_stays_text(text: str) -> None:
    assert load_yaml(text, "here") == text


@settings(deadline=None, max_examples=50)
@given(
    names=st.lists(st.text(min_size=1), min_size=2, max_size=3, unique=True),
    rate=st.floats(min_value=1e-300, max_value=1e300),
    column=st.text(),
)
def test_any_recipe_round_trips_through_yaml(names: list[str], rate: float, column: str) -> None:
    recipe = Recipe.model_validate(
        {
            "model": {"source": "m"},
            "data": {"source": "d", "label": {"column": column, "names": names}},
            "training": {"learning_rate": rate},
        }
    )
    assert parse(dump_recipe(recipe)) == recipe


def test_finding_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()  # a run folder of that name does not hide the shipped recipe
    assert find_recipe("quickstart") == shipped_recipes()["quickstart"]
    (tmp_path / "mine").write_text(BASE, encoding="utf-8")
    assert load_recipe(find_recipe("mine")).model.source == "m"
    with pytest.raises(UserError, match="there is no recipe 'quikstart'; did you mean 'quickstart'"):
        find_recipe("quikstart")
    with pytest.raises(UserError, match=r"missing\.yaml: there is no such recipe"):
        load_recipe(find_recipe("missing.yaml"))
    (tmp_path / "latin.yaml").write_bytes(BASE.encode() + b"# \xe9")
    with pytest.raises(UserError, match="cannot read the recipe"):
        load_recipe(find_recipe("latin.yaml"))
