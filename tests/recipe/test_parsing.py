"""What YAML reads as something else, or silently drops, is refused instead."""

import pytest

from short_recipe import BASE, parse, refusal


def test_text_that_yaml_reads_as_something_else_wants_quotes() -> None:
    refused = refusal(BASE.replace("{column: c}", "{column: c, names: [no, yes]}"))
    assert "data.label.names.0 (line 5): this must be text, and YAML reads it as False; put it in quotes" in refused
    assert "YAML reads it as 5" in refusal(BASE.replace("source: m", "source: 5"))


@pytest.mark.parametrize(
    ("value", "read_as"),
    [("null", "null"), ("~", "null"), ("", "null"), ("2024-01-01", "a date"), ("2024-01-01 10:00:00", "a time")],
)
def test_nothing_and_dates_want_quotes_too(value: str, read_as: str) -> None:
    text = BASE.replace("{column: c}", f"\n    column: c\n    names:\n      - ok\n      - {value}")
    refused = refusal(text)
    assert f"data.label.names.1 (line 7): this must be text, and YAML reads it as {read_as}" in refused
    assert "put it in quotes" in refused


@pytest.mark.parametrize(
    ("override", "read_as"),
    [
        ("training.early_stopping_patience=true", "true"),
        ("training.learning_rate=yes", "true"),
        ("training.epochs=on", "true"),
        ("data.validation_seed=no", "false"),
        ("quantize.distill={weight: yes}", "true"),
        ("compare.full.warmup_ratio=off", "false"),
    ],
)
def test_yes_and_no_are_no_numbers(override: str, read_as: str) -> None:
    refused = refusal(BASE, "method=qat", override)
    assert f"(override): must be a number; YAML reads this as {read_as}" in refused


def test_yes_and_no_are_values_where_they_belong() -> None:
    recipe = parse(BASE, "lora.rslora=yes", "search={lora.rslora: [true, false]}", "data.test=no")
    assert (recipe.lora.rslora, recipe.search, recipe.data.test) == (True, {"lora.rslora": (True, False)}, False)
    assert "lora.targets (override): give `attention`" in refusal(BASE, "lora.targets=yes")


def test_a_range_of_no_numbers() -> None:
    assert "low (override): must be a number" in refusal(BASE, "search={lora.rank: {low: no, high: 8}}")


def test_what_nothing_would_learn_from_is_refused() -> None:
    refused = refusal(BASE, "method=qat", "quantize={training: none, distill: {weight: 0.5}}")
    assert "quantize (override): `distill` goes with `training: qat`" in refused


def test_a_key_given_twice_is_refused() -> None:
    assert refusal(BASE + "training: {epochs: 1}\ntraining: {seed: 1}") == "r.yaml:7: the key 'training' is given twice"
    assert "r.yaml:7: the key 'epochs'" in refusal(BASE + "training:\n  {epochs: 1, epochs: 2}")
    assert "r.yaml:7: the key 'maximize'" in refusal(BASE + "search:\n  a: [1, {maximize: f1, maximize: accuracy}]")
    override = "data.label={column: x, column: y}"
    assert refusal(BASE, override) == f"the override {override!r}: the key 'column' is given twice"
    assert "r.yaml:7: the key 'a\"b'" in refusal(BASE + "search:\n  {'a\"b': [1], 'a\"b': [2]}")


def test_a_key_given_twice_beside_a_merge_is_refused() -> None:
    merging = BASE + "training:\n  <<: {epochs: 1}\n  batch_size: 2\n"
    assert parse(merging).training.epochs == 1
    assert parse(merging + "  epochs: 5\n").training.epochs == 5, "a key of the mapping itself replaces a merged one"
    assert "r.yaml:9: the key 'batch_size' is given twice" in refusal(merging + "  batch_size: 5\n")


def test_an_anchor_given_twice_is_refused() -> None:
    refused = refusal(BASE + "lora: &x {rank: 4}\ntraining: &x {epochs: 1}\n")
    assert refused == "r.yaml:7: not valid YAML: an anchor is given twice"
