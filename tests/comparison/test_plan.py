"""Which runs a comparison plans, and with which recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from feathertune.comparison.plan import (
    PlannedRun,
    check_comparison,
    check_same_recipe,
    comparison_recipe,
    plan_runs,
)
from feathertune.errors import UserError
from feathertune.folders.comparison import ComparisonFolder
from feathertune.recipe.files import dump_recipe, parse_recipe
from feathertune.recipe.schema import Recipe

BASE = """
model: {source: m}
data: {source: d}
method: lora
training: {learning_rate: 1.0e-3, seed: 5, epochs: 7, early_stopping_patience: 2}
"""
FOLDER = ComparisonFolder(Path("compared"))


def recipe(*changes: str) -> Recipe:
    return parse_recipe(BASE, list(changes), where="here")


def planned(*changes: str) -> list[PlannedRun]:
    return plan_runs(recipe(*changes), FOLDER)


def test_every_seed_has_every_method_and_a_baseline_has_one_run() -> None:
    names = [(run.method, run.seed) for run in planned("compare.seeds=2")]
    first = [(method, 5) for method in ("majority", "bag_of_words", "head", "full", "lora", "qat")]
    assert names == [*first, ("head", 6), ("full", 6), ("lora", 6), ("qat", 6)]


def test_qat_brings_the_lora_that_it_starts_from_and_comes_after_it() -> None:
    runs = planned("compare={seeds: 1, methods: [qat, head]}")
    assert [run.method for run in runs] == ["lora", "head", "qat"]
    assert runs[2].recipe.init_from == str(Path("compared/runs/lora-seed5").resolve())
    assert [run.folder.path.name for run in runs] == ["lora-seed5", "head-seed5", "qat-seed5"]


def test_the_budget_is_the_same_for_all_and_so_is_the_validation_split() -> None:
    runs = planned("compare.full={learning_rate: 3.0e-5, warmup_ratio: 0.2, weight_decay: 0.0}", "compare.seeds=2")
    for run in runs:
        training = run.recipe.training
        assert (training.epochs, training.early_stopping_patience, training.batch_size) == (7, 2, 32)
        assert training.seed == run.seed
        assert run.recipe.data.validation_seed == 5, "the examples held out are the same for every seed"
        assert run.recipe.compare is None
        changed = run.method == "full"
        assert (training.warmup_ratio, training.weight_decay) == ((0.2, 0.0) if changed else (0.06, 0.01))
    rates = {run.method: run.recipe.training.learning_rate for run in runs}
    assert rates["full"] == 3e-5


@pytest.mark.parametrize(
    ("method", "rates"),
    [("lora", (1e-3, 1e-4)), ("full", (1e-2, 1e-3)), ("qat", (1e-3, 1e-4)), ("majority", (1e-3, 1e-4))],
)
def test_a_rate_that_is_not_given_follows_from_the_recipes_own(method: str, rates: tuple[float, float]) -> None:
    runs = {run.method: run.recipe.training.learning_rate for run in planned(f"method={method}")}
    assert (runs["lora"], runs["full"]) == pytest.approx(rates)
    assert runs["head"] == pytest.approx(10 * runs["lora"])
    assert runs["qat"] == runs["lora"]


def test_the_heads_own_rate_is_the_rate_of_the_head_alone() -> None:
    head = comparison_recipe(recipe("training.head_learning_rate=0.5"), "head", 0).training
    assert (head.learning_rate, head.head_learning_rate) == (0.5, None)
    lora = comparison_recipe(recipe("training.head_learning_rate=0.5"), "lora", 0).training
    assert (lora.learning_rate, lora.head_learning_rate) == (1e-3, 0.5)
    given = comparison_recipe(recipe("training.head_learning_rate=0.5", "compare.head.learning_rate=0.25"), "head", 0)
    assert given.training.learning_rate == 0.25


def test_the_majority_has_no_threshold() -> None:
    runs = {run.method: run.recipe.evaluation for run in planned("evaluation.threshold={maximize: f1}")}
    assert runs["majority"].threshold == 0.5
    assert {runs[method] for method in runs if method != "majority"} == {runs["bag_of_words"]}
    assert runs["bag_of_words"].chooses


def test_quantizers_are_for_qat_alone() -> None:
    whole = recipe("method=qat", "quantize={weights: int4, epochs: 2}", "compare.qat.learning_rate=0.5")
    runs = {run.method: run.recipe for run in plan_runs(whole, FOLDER)}
    assert runs["lora"].quantize is None
    assert runs["lora"].init_from is None
    assert runs["qat"].quantize is not None
    assert (runs["qat"].quantize.weights, runs["qat"].quantize.learning_rate) == ("int4", 0.5)
    assert comparison_recipe(recipe(), "qat", 0).quantize.weights == "int8"  # type: ignore[union-attr]


def test_every_planned_recipe_is_one_that_can_be_read_again() -> None:
    for run in planned("compare.seeds=2", "compare.methods=[majority,words,head,full,lora,qat]"):
        assert parse_recipe(dump_recipe(run.recipe), [], where="there") == run.recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("compare.sedes=3", "did you mean 'seeds'"),
        ("compare.full.epochs=3", "there is no such key"),
        ("compare.full.learning_rat=3", "did you mean 'learning_rate'"),
        ("compare.methods=[lara]", "compare.methods"),
        ("compare.methods=[]", "compare.methods"),
        ("compare.seeds=0", "compare.seeds"),
    ],
)
def test_a_compare_section_is_checked_when_the_recipe_is_read(change: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe(change)


def test_more_seeds_and_methods_are_the_same_comparison_and_anything_else_is_another(tmp_path: Path) -> None:
    folder = ComparisonFolder(tmp_path)
    check_comparison(folder, recipe())
    folder.recipe.write_text(dump_recipe(recipe("compare.seeds=2")), encoding="utf-8")
    check_comparison(folder, recipe("compare={seeds: 9, methods: [lora]}"))
    for change in ("training.epochs=8", "compare.full.learning_rate=0.1", "data.source=e"):
        with pytest.raises(UserError, match="made with another recipe"):
            check_comparison(folder, recipe(change))


def test_a_finished_qat_run_may_have_been_made_elsewhere_but_no_other_key_may_differ(tmp_path: Path) -> None:
    run = next(run for run in plan_runs(recipe(), ComparisonFolder(tmp_path)) if run.method == "qat")
    moved = run.recipe.model_copy(update={"init_from": "/elsewhere/lora-seed5"})
    with pytest.raises(UserError, match="the run in this folder was made with another recipe"):
        check_same_recipe(run, moved)
    run.folder.path.mkdir(parents=True)
    run.folder.summary.write_text("{}", encoding="utf-8")
    check_same_recipe(run, moved)
    other = moved.model_copy(update={"model": moved.model.model_copy(update={"max_length": 64})})
    with pytest.raises(UserError, match="another recipe"):
        check_same_recipe(run, other)
