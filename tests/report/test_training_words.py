"""What a run trained and what that took, told of every kind of run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from changed_runs import baseline_facts, facts_of, nothing_trained, rounded_facts
from feathertune.report.training_words import (
    costs,
    method_name,
    summary_for_table,
    trained,
)
from feathertune.report.trainings import trainings
from feathertune.report.writing import write_report
from feathertune.terminal.run_tables import before_after_markdown

TWO_EPOCHS = {"epochs": 2, "best_epoch": 1, "train_seconds": 30.0, "train_examples_per_second": 100.0}


def test_one_training(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "training.learning_rate=0.001")
    assert "LoRA (rank 8, alpha 32, dropout 0.1, on attention) and a new classification head. 3 epochs" in trained(
        facts
    )
    assert "learning rate 0.001 (linear)" in trained(facts)
    assert dict(costs(facts))["best epoch"] == "3 of 3"
    assert summary_for_table(facts) == facts.summary


def test_a_run_that_was_only_rounded_trained_nothing(tmp_path: Path) -> None:
    facts = nothing_trained(tmp_path)
    assert trained(facts) == (
        "gpt2 (GPT2ForSequenceClassification): the LoRA adapter and head of the run first (init_from), "
        "rounded to int4 and not trained again."
    )
    assert not {"trained parameters", "training time", "examples/s", "best epoch"} & dict(costs(facts)).keys()
    assert method_name(facts) == "LoRA, rounded to int4"
    written = write_report(tmp_path).read_text(encoding="utf-8") + facts.run.card.read_text(encoding="utf-8")
    for never in ("0 epochs", "0.0 s", "0 of 0", "in view", "quantization-aware"):
        assert never not in written


def test_a_training_of_its_own_and_then_rounded(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "quantize={weights: int4, training: none}", quantized=True)
    facts.summary["quantization"]["training"] = None
    assert "and a new classification head. 3 epochs" in trained(facts)
    assert trained(facts).endswith("Then it was rounded to int4 and not trained again.")
    assert "without LoRA's dropout" not in trained(facts)
    assert dict(costs(facts))["training time"] == "1 min 2 s"


@pytest.mark.parametrize(("own", "used"), [("0.0003", "0.0003"), ("null", "0.001")])
def test_training_on_with_the_quantizers_on_has_their_learning_rate(tmp_path: Path, own: str, used: str) -> None:
    rates = ("training.learning_rate=0.001", f"quantize.learning_rate={own}")
    facts = rounded_facts(tmp_path, *rates, training=TWO_EPOCHS, **TWO_EPOCHS)
    told = (
        "of the run first (init_from), trained on with the rounding to int4 in view, without LoRA's dropout. 2 epochs"
    )
    assert told in trained(facts)
    assert f"learning rate {used} (linear)" in trained(facts)
    assert dict(costs(facts))["best epoch"] == "1 of 2"
    assert dict(costs(facts))["training time"] == "30.0 s"


def test_two_trainings_are_both_told_and_cost_their_sum(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "quantize.learning_rate=5.0e-5", method="qat", quantized=True)
    said = trained(facts)
    assert "3 epochs, learning rate 0.0002 (linear), 32 examples a step" in said
    second = "Then it was trained with the rounding to int8 in view, without LoRA's dropout: 2 epochs"
    assert f"{second}, learning rate 5e-05 (linear)." in said
    assert "The best epoch of each was kept: 3 of 3, then 1 of 2 with the quantizers on." in said
    table = before_after_markdown(summary_for_table(facts))
    assert f"training took 1 min 32 s, {(61.5 * 210 + 30 * 100) / 91.5:.1f} examples/s" in table
    assert "best epoch 3 of 3, then 1 of 2" in table
    assert dict(costs(facts))["training time"] == "1 min 32 s"


@pytest.mark.parametrize("first", [(), ("init_from=/somewhere/first",)], ids=["its own", "init_from"])
def test_loras_dropout_is_told_to_be_missing_only_where_the_recipe_has_some(
    tmp_path: Path, first: tuple[str, ...]
) -> None:
    told = {
        rate: trained(facts_of(tmp_path / rate, f"lora.dropout={rate}", *first, method="qat", quantized=True))
        for rate in ("0.0", "0.2")
    }
    assert "with the rounding to int8 in view, without LoRA's dropout" in told["0.2"]
    assert "with the rounding to int8 in view" in told["0.0"]
    assert "without LoRA's dropout" not in told["0.0"]


def test_a_baseline_has_no_best_epoch(tmp_path: Path) -> None:
    facts = baseline_facts(tmp_path)
    assert dict(costs(facts))["training time"] == "1 min 2 s"
    assert "best epoch" not in dict(costs(facts))
    assert "best epoch" not in before_after_markdown(summary_for_table(facts))


@pytest.mark.parametrize(
    ("steps", "per_epoch", "told", "best"),
    [
        (44, 100, "44 steps (0.44 of an epoch)", None),
        (999, 1000, "999 steps (0.99 of an epoch)", None),
        (150, 100, "150 steps (1.50 epochs)", "2 of 2, the last one cut short"),
        (200, 100, "2 epochs", "2 of 2"),
    ],
)
def test_steps_are_told_where_they_end_within_an_epoch(
    tmp_path: Path, steps: int, per_epoch: int, told: str, best: str | None
) -> None:
    epochs = -(-steps // per_epoch)
    facts = facts_of(tmp_path, f"training.max_steps={steps}", summary={"epochs": epochs, "best_epoch": epochs})
    facts.run.metrics.write_text("".join(json.dumps(line) + "\n" for line in log(steps, per_epoch)), encoding="utf-8")
    (training,) = trainings(facts)
    assert (training.in_words, training.best_in_words) == (told, best)
    assert told in trained(facts)
    assert dict(costs(facts)).get("best epoch") == best
    assert ("best epoch" in before_after_markdown(summary_for_table(facts))) == (steps % per_epoch == 0)


def log(steps: int, per_epoch: int) -> list[dict[str, Any]]:
    return [{"event": "step", "step": step, "epoch": step / per_epoch, "loss": 1.0} for step in range(1, steps + 1)]
