"""The sentences on the budget of a comparison."""

from pathlib import Path

import pytest

from feathertune.comparison.plan import PlannedRun
from feathertune.comparison.sentences import budget, left_out_notes, notes
from feathertune.folders.comparison import MethodResult
from feathertune.recipe.files import load_recipe, parse_recipe
from made_up import made_up_run

RECIPE = "model: {source: base}\ndata: {source: data}"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["training.epochs=5"], "Each trains for 5 epochs in steps of 32 examples"),
        (["training.epochs=1"], "Each trains for 1 epoch in steps of 32 examples"),
        (
            ["training.epochs=5", "training.max_steps=1200"],
            "Each trains for 5 epochs, at most 1,200 steps, in steps of 32",
        ),
    ],
)
def test_the_budget_is_that_of_the_recipe(changes: list[str], expected: str) -> None:
    sentences = budget({"lora": parse_recipe(RECIPE, changes, where="here")})
    assert any(sentence.startswith(expected) for sentence in sentences)


def test_a_chosen_threshold_is_mentioned_whichever_method_comes_first() -> None:
    plain = parse_recipe(RECIPE, ["method=majority"], where="here")
    chooses = parse_recipe(RECIPE, ["evaluation.threshold={maximize: f1}"], where="here")
    assert any("chosen on validation" in sentence for sentence in budget({"majority": plain, "lora": chooses}))
    assert not any("chosen on validation" in sentence for sentence in budget({"majority": plain}))


def test_different_machines_and_a_single_seed_are_noted(tmp_path: Path) -> None:
    folders = [made_up_run(tmp_path / name) for name in ("first", "second")]
    recipe = load_recipe(folders[0].recipe)

    def noted(*seeds: int) -> str:
        return "\n".join(
            notes([PlannedRun("lora", seed, recipe, run) for seed, run in zip(seeds, folders, strict=True)])
        )

    assert noted(0, 1) == ""
    assert noted(0, 0).startswith("Only one seed")
    text = folders[1].environment.read_text(encoding="utf-8")
    folders[1].environment.write_text(text.replace("a processor", "another"), encoding="utf-8")
    assert noted(0, 1).startswith("The runs were made on different machines")
    folders[1].environment.write_text(text.replace("2.13.0", "2.14.0"), encoding="utf-8")
    assert noted(0, 1).startswith("The runs were made with different package versions")


def test_classes_that_macro_averages_leave_out_are_noted() -> None:
    def result(name: str, *absent: int) -> MethodResult:
        return MethodResult(method="lora", name=name, seeds=(0, 1), metrics={}, absent_classes={"test": absent})

    assert left_out_notes([result("LoRA", 0, 0), result("the majority class", 0, 0)], 9) == []
    (note,) = left_out_notes([result("LoRA", 1, 2), result("the majority class", 4, 4)], 9)
    assert note.startswith("test: macro averages leave out classes that are in neither labels nor predictions")
    assert note.endswith("of 9 classes: LoRA 1.5, the majority class 4.")
