"""Recipes of earlier versions: every key and value by its old name is read as by its new one, and errors name both."""

import pytest

from feathertune.recipe.files import dump_recipe, is_complete, load_recipe
from feathertune.recipe.old_names import OLD_KEYS
from feathertune.recipe.schema import Recipe, TrainingSection
from short_recipe import BASE, parse, refusal

VALUES = {
    "accumulation": 4,
    "warmup": 0.25,
    "gradient_clip": 0.5,
    "early_stopping": 2,
    "checkpoint_activations": "true",
}
OLD = f"""{BASE}
method: lora
training: {{accumulation: 4, warmup: 0.25, gradient_clip: 0.5, early_stopping: 2, checkpoint_activations: true}}
quantize: {{training: none}}
compare: {{methods: [words, majority, lora], lora: {{warmup: 0.5}}}}
search:
  training.warmup: {{low: 0.0, high: 0.5}}
  training.accumulation: [1, 2]
  quantize.training: [none, qat]
"""
NEW = f"""{BASE}
method: lora
training:
  gradient_accumulation_steps: 4
  warmup_ratio: 0.25
  max_grad_norm: 0.5
  early_stopping_patience: 2
  gradient_checkpointing: true
quantize: {{training: ptq}}
compare: {{methods: [bag_of_words, majority, lora], lora: {{warmup_ratio: 0.5}}}}
search:
  training.warmup_ratio: {{low: 0.0, high: 0.5}}
  training.gradient_accumulation_steps: [1, 2]
  quantize.training: [none, qat]
"""


def test_a_recipe_of_each_form_is_the_same_recipe() -> None:
    old, new = parse(OLD), parse(NEW)
    assert old == new
    assert old.training.gradient_accumulation_steps == 4
    assert old.quantize is not None
    assert old.quantize.training == "ptq"
    assert parse(BASE + "method: words").method == "bag_of_words"


@pytest.mark.parametrize(("old", "new"), OLD_KEYS.items())
def test_every_old_key_is_read_in_files_in_overrides_and_in_python(old: str, new: str) -> None:
    wanted = parse(BASE, f"training.{new}={VALUES[old]}")
    assert wanted.training != TrainingSection()
    assert parse(f"{BASE}training: {{{old}: {VALUES[old]}}}") == wanted
    assert parse(BASE, f"training.{old}={VALUES[old]}") == wanted
    assert parse(BASE, f"training={{{old}: {VALUES[old]}}}") == wanted
    value = getattr(wanted.training, new)
    made = Recipe.model_validate({**wanted.model_dump(exclude={"training"}), "training": {old: value}})
    assert made.training == wanted.training


def test_new_names_alone_are_written() -> None:
    text = dump_recipe(parse(OLD))
    assert parse(text) == parse(NEW)
    keys = {line.strip().removesuffix(":").partition(":")[0] for line in text.splitlines()}
    assert not keys & {*OLD_KEYS, *(f"training.{old}" for old in OLD_KEYS)}
    assert "words" not in {line.strip(" -") for line in text.splitlines()}


@pytest.mark.parametrize(("old", "new"), OLD_KEYS.items())
def test_both_names_at_once_are_one_clear_error(old: str, new: str) -> None:
    message = f"training.{old} (line 7): `{old}` is the old name of `{new}`, and both are given"
    text = f"{BASE}training:\n  {old}: {VALUES[old]}\n  {new}: {VALUES[old]}\n"
    assert refusal(text) == f"r.yaml: {message}"


def test_both_names_in_other_places() -> None:
    both = "{training.warmup: [0.1], training.warmup_ratio: [0.2]}"
    assert "search.training.warmup (line 6): `training.warmup` is the old name of `training.warmup_ratio`" in refusal(
        f"{BASE}search: {both}"
    )
    assert "compare.full.warmup (override): `warmup` is the old name" in refusal(
        BASE, "compare.full={warmup: 0, warmup_ratio: 0}"
    )


def test_a_wrong_value_is_named_by_both_names_and_its_line() -> None:
    assert refusal(f"{BASE}training:\n  warmup: 2\n").startswith(
        "r.yaml: training.warmup_ratio (line 7, by its old name `warmup`): Input should be less than 1"
    )
    assert "training.warmup_ratio (override, by its old name `warmup`): Input" in refusal(BASE, "training.warmup=2")
    assert "training.max_grad_norm (line 6): Input" in refusal(f"{BASE}training: {{max_grad_norm: -1}}")
    assert "search.training.warmup_ratio." in refusal(f"{BASE}search: {{training.warmup: {{low: 1, high: 0}}}}")


def test_an_override_replaces_a_value_by_either_name() -> None:
    for given, name in (("warmup", "warmup_ratio"), ("warmup_ratio", "warmup"), ("warmup", "warmup")):
        recipe = parse(f"{BASE}training: {{{given}: 0.1}}", f"training.{name}=0.3")
        assert recipe.training.warmup_ratio == 0.3
    assert parse(BASE, "training.warmup=0.1", "training.warmup_ratio=0.2").training.warmup_ratio == 0.2


def test_old_names_are_keys_of_their_own_section_alone() -> None:
    refused = refusal(f"{BASE}lora: {{warmup: 0.1}}")
    assert "lora.warmup (line 6): there is no such key" in refused
    assert "warmup" not in refused.split("The keys of lora")[1]


def test_only_what_was_written_by_us_is_complete() -> None:
    for recipe in (parse(NEW), load_recipe("quickstart"), parse(BASE, "method=qat")):
        assert not is_complete(recipe)
        assert is_complete(parse(dump_recipe(recipe)))
    assert is_complete(parse(dump_recipe(parse(BASE)).replace("warmup_ratio:", "warmup:")))
