"""What a run trained and what that cost, for every kind of run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from changed_runs import baseline_facts, facts_of, ptq_facts, quantized_facts
from feathertune.report.before_after import caption
from feathertune.report.facts import RunFacts
from feathertune.report.training_sentences import costs, method_title, summary_for_table, training_paragraph
from feathertune.report.trainings import trainings
from feathertune.report.writing import write_report

TWO_EPOCHS = {"epochs": 2, "best_epoch": 1, "train_seconds": 30.0, "train_examples_per_second": 100.0}


def table_caption(facts: RunFacts) -> str:
    """The lines below the tables of card and terminal."""
    return "\n".join(caption(summary_for_table(facts)))


def test_one_training(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "training.learning_rate=0.001")
    paragraph = training_paragraph(facts)
    adapters = "LoRA adapters (rank 8, alpha 32, dropout 0.1, targets attention)"
    assert f"{adapters} and a new classification head were trained for 3 epochs" in paragraph
    assert "learning rate 0.001 (linear schedule)" in paragraph
    assert dict(costs(facts))["best epoch"] == "3 of 3"
    assert summary_for_table(facts) == facts.summary


def test_a_run_that_only_quantizes_trained_nothing(tmp_path: Path) -> None:
    facts = ptq_facts(tmp_path)
    assert training_paragraph(facts) == (
        "The base model is gpt2 (GPT2ForSequenceClassification). The LoRA adapters and the head of the run first "
        "(init_from) were quantized to int4 without further training (post-training quantization, PTQ)."
    )
    assert not {"trained parameters", "training time", "examples/s", "best epoch"} & dict(costs(facts)).keys()
    assert method_title(facts) == "LoRA, quantized to int4 (PTQ)"
    written = write_report(tmp_path).read_text(encoding="utf-8") + facts.run.card.read_text(encoding="utf-8")
    for never in ("0 epochs", "0.0 s", "0 of 0", "QAT", "quantization-aware"):
        assert never not in written


def test_a_training_and_then_ptq(tmp_path: Path) -> None:
    size = {"weights": "int4", "weights_bytes": 20_000_000, "float32_bytes": 80_000_000, "training": None}
    summary = {"quantization": size}
    facts = facts_of(tmp_path, "quantize={weights: int4, training: none}", summary=summary, quantized=True)
    paragraph = training_paragraph(facts)
    assert "and a new classification head were trained for 3 epochs" in paragraph
    assert paragraph.endswith(
        "Then the model was quantized to int4 without further training (post-training quantization, PTQ)."
    )
    assert "without LoRA's dropout" not in paragraph
    assert dict(costs(facts))["training time"] == "1 min 2 s"


@pytest.mark.parametrize(("own", "used"), [("0.0003", "0.0003"), ("null", "0.001")])
def test_qat_of_another_run_has_its_own_learning_rate(tmp_path: Path, own: str, used: str) -> None:
    rates = ("training.learning_rate=0.001", f"quantize.learning_rate={own}")
    facts = quantized_facts(tmp_path, *rates, training=TWO_EPOCHS, **TWO_EPOCHS)
    qat = "were trained further by quantization-aware training (QAT) to int4, without LoRA's dropout, for 2 epochs"
    assert f"of the run first (init_from) {qat}" in training_paragraph(facts)
    assert f"learning rate {used} (linear schedule)" in training_paragraph(facts)
    assert dict(costs(facts))["best epoch"] == "1 of 2"
    assert dict(costs(facts))["training time"] == "30.0 s"


def test_two_trainings_are_both_described_and_cost_their_sum(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, "quantize.learning_rate=5.0e-5", method="qat", quantized=True)
    paragraph = training_paragraph(facts)
    assert "3 epochs with learning rate 0.0002 (linear schedule), batch size 32" in paragraph
    second = "Quantization-aware training (QAT) to int8 followed, without LoRA's dropout, for 2 epochs"
    assert f"{second} with learning rate 5e-05 (linear schedule)." in paragraph
    assert "The best epoch of each training was kept: 3 of 3, then 1 of 2 (QAT)." in paragraph
    text = table_caption(facts)
    assert f"training took 1 min 32 s, {(61.5 * 210 + 30 * 100) / 91.5:.1f} examples/s" in text
    assert "best epoch 3 of 3, then 1 of 2" in text
    assert dict(costs(facts))["training time"] == "1 min 32 s"


@pytest.mark.parametrize("first", [(), ("init_from=/somewhere/first",)], ids=["its own", "init_from"])
def test_loras_dropout_is_missing_only_if_the_recipe_has_some(tmp_path: Path, first: tuple[str, ...]) -> None:
    paragraph = {
        rate: training_paragraph(
            facts_of(tmp_path / rate, f"lora.dropout={rate}", *first, method="qat", quantized=True)
        )
        for rate in ("0.0", "0.2")
    }
    assert "without LoRA's dropout" in paragraph["0.2"]
    for rate in paragraph:
        assert "uantization-aware training (QAT) to int8" in paragraph[rate]
    assert "without LoRA's dropout" not in paragraph["0.0"]


def test_a_baseline_has_no_best_epoch(tmp_path: Path) -> None:
    facts = baseline_facts(tmp_path)
    assert dict(costs(facts))["training time"] == "1 min 2 s"
    assert "best epoch" not in dict(costs(facts))
    assert "best epoch" not in table_caption(facts)


@pytest.mark.parametrize(
    ("steps", "per_epoch", "length", "best"),
    [
        (44, 100, "44 steps (0.44 of an epoch)", None),
        (999, 1000, "999 steps (0.99 of an epoch)", None),
        (150, 100, "150 steps (1.50 epochs)", "2 of 2, the last one cut short"),
        (200, 100, "2 epochs", "2 of 2"),
    ],
)
def test_steps_are_given_if_they_end_within_an_epoch(
    tmp_path: Path, steps: int, per_epoch: int, length: str, best: str | None
) -> None:
    epochs = -(-steps // per_epoch)
    facts = facts_of(tmp_path, f"training.max_steps={steps}", summary={"epochs": epochs, "best_epoch": epochs})
    facts.run.metrics.write_text("".join(json.dumps(line) + "\n" for line in log(steps, per_epoch)), encoding="utf-8")
    (training,) = trainings(facts)
    assert (training.length_in_words, training.best_in_words) == (length, best)
    assert length in training_paragraph(facts)
    assert dict(costs(facts)).get("best epoch") == best
    assert ("best epoch" in table_caption(facts)) == (steps % per_epoch == 0)


def log(steps: int, per_epoch: int) -> list[dict[str, Any]]:
    return [{"event": "step", "step": step, "epoch": step / per_epoch, "loss": 1.0} for step in range(1, steps + 1)]
